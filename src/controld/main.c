/* SPDX-License-Identifier: MIT */

/* fastworker-controld: the coordinator. */

#include "log.h"
#include "manager.h"

static int run(int argc, char *argv[]) {
        _cleanup_(manager_freep) Controld *c = NULL;
        _cleanup_free_ char *error = NULL;
        void *settings = NULL;
        Conf *conf = NULL;
        int r;

        r = conf_load(&controld_conf_table, argc, argv, &settings, &conf);
        if (r <= 0)
                return r;
        r = settings_check(settings, &error);
        if (r < 0) {
                log_error("%s.", error ?: "Out of memory");
                conf_settings_free(&controld_conf_table, settings);
                conf_free(conf);
                return r;
        }
        log_set_max_level(((Settings *) settings)->log_level);

        r = manager_new(argc, argv, settings, conf, &c);
        if (r < 0)
                return r;
        return manager_run(c);
}

int main(int argc, char *argv[]) {
        log_open("fastworker-controld");
        return run(argc, argv) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
