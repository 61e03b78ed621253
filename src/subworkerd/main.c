/* SPDX-License-Identifier: MIT */

/* fastworker-subworkerd: one worker. */

#include "log.h"
#include "manager.h"

static int run(int argc, char *argv[]) {
        _cleanup_(manager_freep) Subworkerd *s = NULL;
        _cleanup_free_ char *error = NULL;
        void *settings = NULL;
        Conf *conf = NULL;
        int r;

        r = conf_load(&subworkerd_conf_table, argc, argv, &settings, &conf);
        if (r <= 0)
                return r;
        r = settings_check(settings, &error);
        if (r < 0) {
                log_error("%s", error ? error : "Out of memory.");
                conf_settings_free(&subworkerd_conf_table, settings);
                conf_free(conf);
                return r;
        }
        log_set_max_level(((Settings *) settings)->log_level);

        r = manager_new(argc, argv, settings, conf, &s);
        if (r < 0)
                return r;
        return manager_run(s);
}

int main(int argc, char *argv[]) {
        log_open("fastworker-subworkerd");
        return run(argc, argv) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
