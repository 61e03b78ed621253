/* SPDX-License-Identifier: MIT */

#include "reload.h"
#include "log.h"
#include "message-ids.h"
#include "parse-util.h"

/* Keys that only a restart can change keep the value that is in force. */
static void keep_fixed(Controld *c, Settings *fresh) {
        for (size_t i = 0; i < controld_conf_table.n_items; i++) {
                const ConfItem *item = &controld_conf_table.items[i];

                if (!(item->flags & CONF_FIXED) || !conf_item_differs(item, c->settings, fresh))
                        continue;
                log_warning("%s=: the change takes effect with the next restart.", item->key);
                conf_item_swap(item, c->settings, fresh);
        }
}

static bool modules_differ(const Settings *a, const Settings *b) {
        for (size_t i = 0; i < controld_conf_table.n_items; i++) {
                const ConfItem *item = &controld_conf_table.items[i];
                bool concerns_local_worker = item->offset == offsetof(Settings, task_modules) ||
                                             item->offset == offsetof(Settings, module_path) ||
                                             item->offset == offsetof(Settings, concurrency) ||
                                             item->offset == offsetof(Settings, labels) ||
                                             item->offset == offsetof(Settings, max_result_bytes);

                if (concerns_local_worker && conf_item_differs(item, a, b))
                        return true;
        }
        return false;
}

static void fail(Controld *c, const char *error) {
        log_event(LOG_ERR, 0, LOG_FIELDS(.message_id = MESSAGE_RELOAD_FAILED),
                  "Reload failed, the old configuration stays in force: %s", error);
        free(c->reload_error);
        c->reload_error = strdup(error);
        notify_ready(c->notify, NULL);
        reload_asker_tell(&c->reload_asker, -EBADMSG);
}

static void swap_in(Controld *c, Settings *fresh, Conf *conf) {
        bool restart_local;

        keep_fixed(c, fresh);
        restart_local = modules_differ(c->settings, fresh);
        conf_settings_free(&controld_conf_table, c->settings);
        conf_free(c->conf);
        c->settings = fresh;
        c->conf = conf;

        log_set_max_level(fresh->log_level);
        c->results.size_max = fresh->result_cache_size;
        c->results.ttl_usec = fresh->result_cache_ttl_usec;
        scale_reload(c->scale);
        if (!restart_local)
                return;
        if (c->local)
                local_worker_restart(c->local);
        else if (fresh->local_worker && strv_length(fresh->task_modules) > 0)
                log_warning(
                        "TaskModules=: there was none at the start, the change takes effect with the next "
                        "restart.");
}

void reload(Controld *c) {
        _cleanup_free_ char *error = NULL;
        void *fresh = NULL;
        Conf *conf = NULL;
        int r;

        notify_reloading(c->notify);
        r = conf_reload(&controld_conf_table, c->argc, c->argv, &fresh, &conf, &error);
        if (r >= 0)
                r = settings_check(fresh, &error);
        if (r < 0) {
                fail(c, error ?: strerror(-r));
                conf_settings_free(&controld_conf_table, fresh);
                conf_free(conf);
                return;
        }
        swap_in(c, fresh, conf);
        free(c->reload_error);
        c->reload_error = NULL;
        log_event(LOG_INFO, 0, LOG_FIELDS(.message_id = MESSAGE_RELOADED),
                  "Configuration reloaded.");
        notify_ready(c->notify, NULL);
        reload_asker_tell(&c->reload_asker, 0);
}
