/* SPDX-License-Identifier: MIT */

/* Settings from all their sources, in order: built-in defaults, file and drop-ins, environment, flags. */

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "conf-internal.h"
#include "log.h"
#include "reload-request.h"

int conf_fail(ConfLoader *l, int error, const char *format, ...) {
        _cleanup_free_ char *text = NULL;
        va_list ap;

        va_start(ap, format);
        if (vasprintf(&text, format, ap) < 0)
                text = NULL;
        va_end(ap);

        if (!l->ret_error)
                log_error("%s", text ?: "Out of memory.");
        else if (!*l->ret_error)
                *l->ret_error = TAKE_PTR(text);
        return error;
}

int conf_assign(ConfLoader *l, const ConfItem *item, const char *value, const char *origin) {
        ConfOrigin *o = &l->conf->origins[item - l->table->items];
        bool again = o->text && o->place == l->place;
        bool resets = (item->type == CONF_STRING || item->type == CONF_ADDRESS) &&
                      value[strspn(value, " \t")] == '\0';
        _cleanup_free_ char *text = NULL;
        int r;

        if (!resets) {
                text = strdup(origin);
                if (!text)
                        return -ENOMEM;
        }
        r = conf_value_set(item, value, again, l->settings);
        if (r < 0)
                return r;
        free(o->text);
        o->text = TAKE_PTR(text);
        o->place = l->place;
        return 0;
}

static int set_defaults(ConfLoader *l) {
        for (size_t i = 0; i < l->table->n_items; i++)
                if (conf_value_reset(&l->table->items[i], l->settings) < 0)
                        return conf_fail(l, -ENOMEM, "Out of memory.");
        return 0;
}

/* A value from somewhere else than a file: there is nothing to fall back to that the user would expect. */
static int assign_or_fail(ConfLoader *l, const ConfItem *item, const char *value,
                          const char *origin) {
        char expected[CONF_EXPECTED_MAX];
        int r;

        r = conf_assign(l, item, value, origin);
        if (r >= 0)
                return 0;
        if (r != -EINVAL && r != -ERANGE)
                return conf_fail(l, r, "%s: %s", origin, strerror(-r));
        conf_value_describe(item, expected);
        return conf_fail(l, -EINVAL, "%s: bad value \"%.200s\", expected %s.", origin, value,
                         expected);
}

static int set_from_environment(ConfLoader *l) {
        int r;

        l->place++;
        for (size_t i = 0; i < l->table->n_items; i++) {
                const ConfItem *item = &l->table->items[i];
                const char *value = item->env ? getenv(item->env) : NULL;

                if (isempty(value))
                        continue;
                r = assign_or_fail(l, item, value, item->env);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int set_from_flags(ConfLoader *l, const ConfArguments *a) {
        l->place++;
        for (size_t i = 0; i < a->n; i++) {
                _cleanup_free_ char *origin = NULL;
                int r;

                if (asprintf(&origin, "--%s", a->values[i].item->flag) < 0) {
                        origin = NULL;
                        return conf_fail(l, -ENOMEM, "Out of memory.");
                }
                r = assign_or_fail(l, a->values[i].item, a->values[i].value, origin);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int set_from_files(ConfLoader *l, const ConfArguments *a) {
        const char *path = a->config ?: getenv("FASTWORKER_CONFIG");

        int r = 0;

        if (!isempty(a->defaults))
                r = conf_files_read(l, a->defaults, true);
        if (r < 0)
                return r;
        r = isempty(path) ? conf_files_read(l, l->table->config_file, false)
                          : conf_files_read(l, path, true);
        if (r < 0 || isempty(a->instance_config))
                return r;
        return conf_files_read(l, a->instance_config, false);
}

static int check_required(ConfLoader *l) {
        for (size_t i = 0; i < l->table->n_items; i++) {
                const ConfItem *item = &l->table->items[i];
                _cleanup_free_ char *text = NULL;

                if (!(item->flags & CONF_REQUIRED) || l->conf->origins[i].text)
                        continue;
                text = conf_explain_missing(l->table, item->section, item->key);
                return conf_fail(l, -EINVAL, "%s", text ?: "Out of memory.");
        }
        return 0;
}

static int conf_new(const ConfTable *table, Conf **ret) {
        _cleanup_(conf_freep) Conf *c = NULL;

        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->origins = calloc(MAX(table->n_items, (size_t) 1), sizeof(*c->origins));
        if (!c->origins)
                return -ENOMEM;
        c->n = table->n_items;
        *ret = TAKE_PTR(c);
        return 0;
}

static int load_sources(ConfLoader *l, const ConfArguments *a) {
        int r;

        r = set_defaults(l);
        if (r < 0)
                return r;
        r = set_from_files(l, a);
        if (r < 0)
                return r;
        r = set_from_environment(l);
        if (r < 0)
                return r;
        return set_from_flags(l, a);
}

/* --reload: what another process, the daemon itself, did. */
static int ask_to_reload(ConfLoader *l, const char *pid) {
        int r;

        r = reload_request(pid);
        switch (r) {
        case 0:
                return 0;
        case -EINVAL:
                return conf_fail(l, r, "--reload=%.100s: not a process id.", pid);
        case -EBADMSG:
                return conf_fail(
                        l, r,
                        "The reload failed, the old configuration stays in force; the daemon has "
                        "logged why.");
        case -ECHILD:
                return conf_fail(l, r, "Process %s has ended.", pid);
        default:
                return conf_fail(l, r, "Cannot ask process %s to reload: %s", pid, strerror(-r));
        }
}

/* Fills l->settings and l->conf; the caller frees them, whatever comes back. */
static int load(ConfLoader *l, int argc, char *argv[], bool own_flags_count) {
        _cleanup_(conf_arguments_done) ConfArguments a = {};
        int r;

        r = conf_arguments_parse(l, argc, argv, &a);
        if (r < 0)
                return r;
        if (own_flags_count && (a.help || a.version)) {
                (a.help ? conf_print_help : conf_print_version)(l->table, stdout);
                return 0;
        }
        if (own_flags_count && a.reload)
                return ask_to_reload(l, a.reload);

        l->settings = calloc(1, l->table->settings_size);
        if (!l->settings || conf_new(l->table, &l->conf) < 0)
                return conf_fail(l, -ENOMEM, "Out of memory.");
        r = load_sources(l, &a);
        if (r < 0)
                return r;
        if (own_flags_count && a.print_config) {
                conf_print(l->table, l->conf, l->settings, stdout);
                return 0;
        }
        r = check_required(l);
        return r < 0 ? r : 1;
}

static int load_and_hand_over(ConfLoader *l, int argc, char *argv[], bool own_flags_count,
                              void **ret_settings, Conf **ret_conf) {
        int r;

        r = load(l, argc, argv, own_flags_count);
        if (r > 0) {
                *ret_settings = TAKE_PTR(l->settings);
                *ret_conf = TAKE_PTR(l->conf);
        }
        conf_settings_free(l->table, l->settings);
        conf_free(l->conf);
        return r;
}

int conf_load(const ConfTable *table, int argc, char *argv[], void **ret_settings,
              Conf **ret_conf) {
        ConfLoader l = { .table = table };
        int r;

        r = load_and_hand_over(&l, argc, argv, true, ret_settings, ret_conf);
        /* What was asked for on stdout must have got there, unless its reader has seen enough. */
        if (r == 0 && (fflush(stdout) != 0 || ferror(stdout))) {
                r = errno > 0 ? -errno : -EIO;
                if (r != -EPIPE)
                        log_error_errno(r, "Cannot write to standard output: %m");
        }
        return r;
}

int conf_reload(const ConfTable *table, int argc, char *argv[], void **ret_settings,
                Conf **ret_conf, char **ret_error) {
        char *error = NULL;
        ConfLoader l = { .table = table, .ret_error = &error };
        int r;

        r = load_and_hand_over(&l, argc, argv, false, ret_settings, ret_conf);
        if (r < 0) {
                *ret_error = error ?: strdup("Out of memory.");
                return r;
        }
        return 0;
}

static const ConfItem *find_item(const ConfTable *table, const char *section, const char *key) {
        for (size_t i = 0; i < table->n_items; i++) {
                const ConfItem *item = &table->items[i];

                if (item->section && item->key && streq(item->section, section) &&
                    streq(item->key, key))
                        return item;
        }
        return NULL;
}

const char *conf_origin(const ConfTable *table, const Conf *conf, const char *section,
                        const char *key) {
        const ConfItem *item = find_item(table, section, key);

        return item ? conf->origins[item - table->items].text ?: "default" : NULL;
}

bool conf_is_default(const ConfTable *table, const Conf *conf, const char *section,
                     const char *key) {
        const ConfItem *item = find_item(table, section, key);

        return !item || !conf->origins[item - table->items].text;
}

char *conf_explain_missing(const ConfTable *table, const char *section, const char *key) {
        const ConfItem *item = find_item(table, section, key);
        bool flag, env;
        char *text = NULL;

        assert(item);
        flag = item->flag;
        env = item->env;
        if (asprintf(&text, "%s= is not set: give %s%s%s%s%s%s%s%s= in section [%s] of %s.", key,
                     flag ? "--" : "", flag ? item->flag : "", flag ? "=" : "",
                     flag ? item->metavar ?: "VALUE" : "", flag ? ", or " : "",
                     env ? item->env : "", env ? " in the environment, or " : "", key, section,
                     table->config_file) < 0)
                return NULL;
        return text;
}

void *conf_settings_free(const ConfTable *table, void *settings) {
        if (!settings)
                return NULL;
        for (size_t i = 0; i < table->n_items; i++)
                conf_value_clear(&table->items[i], settings);
        free(settings);
        return NULL;
}

Conf *conf_free(Conf *c) {
        if (!c)
                return NULL;
        for (size_t i = 0; i < c->n && c->origins; i++)
                free(c->origins[i].text);
        free(c->origins);
        free(c);
        return NULL;
}
