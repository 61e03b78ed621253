/* SPDX-License-Identifier: MIT */

/* What a command is called with: its words, its standard input, its environment. */

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>

#include "command-internal.h"
#include "json-util.h"
#include "parse-util.h"

int command_fail(char **ret, int error, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        if (vasprintf(ret, format, ap) < 0)
                *ret = NULL;
        va_end(ap);
        return error;
}

/* --- words ---------------------------------------------------------------------------------------- */

static bool has_nul(struct json_object *value) {
        return strlen(json_object_get_string(value)) != (size_t) json_object_get_string_len(value);
}

/* A string, number or boolean as text, borrowed from the value. Else NULL and what it is. */
static const char *value_text(struct json_object *value, const char **ret_kind) {
        switch (json_object_get_type(value)) {
        case json_type_string:
                *ret_kind = "a text with a NUL character";
                return has_nul(value) ? NULL : json_object_get_string(value);
        case json_type_boolean:
        case json_type_int:
        case json_type_double:
                return json_object_to_json_string_ext(value, JSON_COMPACT);
        case json_type_array:
                *ret_kind = "a list";
                return NULL;
        case json_type_object:
                *ret_kind = "an object";
                return NULL;
        default:
                *ret_kind = "null";
                return NULL;
        }
}

static int add_positional(struct json_object *list, char ***argv, char **ret_error) {
        for (size_t i = 0; i < json_object_array_length(list); i++) {
                const char *kind, *text = value_text(json_object_array_get_idx(list, i), &kind);
                int r;

                if (!text)
                        return command_fail(
                                ret_error, -EINVAL,
                                "argument %zu is %s; with Input=args only texts, numbers "
                                "and booleans can be given",
                                i + 1, kind);
                r = strv_extend(argv, text);
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool is_flag_name(const char *s) {
        if (!isalnum((unsigned char) s[0]))
                return false;
        for (; *s; s++)
                if (!isalnum((unsigned char) *s) && !strchr("_-.", *s))
                        return false;
        return true;
}

static int add_keywords(struct json_object *o, char ***argv, char **ret_error) {
        json_object_object_foreach(o, key, value) {
                _cleanup_free_ char *word = NULL;
                const char *kind, *text = value_text(value, &kind);
                int r;

                if (!is_flag_name(key))
                        return command_fail(
                                ret_error, -EINVAL,
                                "the keyword \"%.100s\" is no name of an option: letters, "
                                "digits and _ - . are expected",
                                key);
                if (!text)
                        return command_fail(
                                ret_error, -EINVAL,
                                "keyword argument %.100s is %s; with Input=args only texts, "
                                "numbers and booleans can be given",
                                key, kind);
                if (asprintf(&word, "--%s=%s", key, text) < 0) {
                        word = NULL;
                        return -ENOMEM;
                }
                r = strv_extend(argv, word);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* --- standard input ------------------------------------------------------------------------------- */

/* A file and no pipe: nobody has to write it while the command runs. Returns the descriptor or -errno. */
static int make_input(const char *data, size_t size) {
        _cleanup_close_ int fd = memfd_create("input", MFD_CLOEXEC);

        if (fd < 0)
                return -errno;
        for (size_t done = 0; done < size;) {
                ssize_t n = pwrite(fd, data + done, size - done, (off_t) done);

                if (n < 0)
                        return -errno;
                done += (size_t) n;
        }
        return TAKE_FD(fd);
}

static int open_nothing(void) {
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

/* The one text of Input=stdin. */
static int take_text(struct json_object *list, struct json_object *keywords, CommandSpec *spec,
                     char **ret_error) {
        size_t n = list ? json_object_array_length(list) : 0;
        struct json_object *text = n == 1 ? json_object_array_get_idx(list, 0) : NULL;

        if (n > 1 || (keywords && json_object_object_length(keywords) > 0) ||
            (n == 1 && !json_object_is_type(text, json_type_string)))
                return command_fail(
                        ret_error, -EINVAL,
                        "this task takes one text (Input=stdin), and no other arguments");
        spec->input_fd = n == 0 ? open_nothing()
                                : make_input(json_object_get_string(text),
                                             (size_t) json_object_get_string_len(text));
        return spec->input_fd < 0 ? spec->input_fd : 0;
}

static int take_words(struct json_object *list, struct json_object *keywords, CommandSpec *spec,
                      char **ret_error) {
        int r = 0;

        if (list)
                r = add_positional(list, &spec->argv, ret_error);
        if (r >= 0 && keywords)
                r = add_keywords(keywords, &spec->argv, ret_error);
        if (r < 0)
                return r;
        spec->input_fd = open_nothing();
        return spec->input_fd < 0 ? spec->input_fd : 0;
}

static int take_arguments(const TaskFile *t, const char *arguments, size_t size, CommandSpec *spec,
                          char **ret_error) {
        static const char nothing[] = "{\"args\":[],\"kwargs\":{}}";
        _cleanup_json_ struct json_object *o = NULL;
        struct json_object *list = NULL, *keywords = NULL;
        const char *error;
        int r;

        if (t->input == TASK_INPUT_JSON) {
                spec->input_fd = size > 0 ? make_input(arguments, size)
                                          : make_input(nothing, strlen(nothing));
                return spec->input_fd < 0 ? spec->input_fd : 0;
        }
        r = json_parse_object(arguments, size, &o, &error);
        if (r == -EBADMSG)
                return command_fail(ret_error, -EINVAL, "the arguments are no JSON object: %s",
                                    error);
        if (r < 0)
                return r;
        if (json_get_array(o, "args", &list) < 0)
                return command_fail(ret_error, -EINVAL, "\"args\" of the arguments is no list");
        if (json_get_object(o, "kwargs", &keywords) < 0)
                return command_fail(ret_error, -EINVAL, "\"kwargs\" of the arguments is no object");
        return t->input == TASK_INPUT_ARGS ? take_words(list, keywords, spec, ret_error)
                                           : take_text(list, keywords, spec, ret_error);
}

int command_arguments(const TaskFile *t, const char *arguments, size_t size, CommandSpec *ret,
                      char **ret_error) {
        CommandSpec spec = { .input_fd = -EBADF };
        int r = 0;

        *ret_error = NULL;
        STRV_FOREACH(word, t->exec)
                if (r >= 0)
                        r = strv_extend(&spec.argv, *word);
        if (r >= 0)
                r = take_arguments(t, arguments, size, &spec, ret_error);
        if (r < 0) {
                command_spec_done(&spec);
                return r;
        }
        *ret = spec;
        return 0;
}

/* --- environment ---------------------------------------------------------------------------------- */

static int set_variable(char ***environment, const char *name, const char *value, size_t size) {
        _cleanup_free_ char *assignment = NULL;

        if (asprintf(&assignment, "%s=%.*s", name, (int) size, value) < 0) {
                assignment = NULL;
                return -ENOMEM;
        }
        return strv_assign(environment, assignment);
}

/* Ours, without what is about a task: it would be about another one. */
static int copy_environment(char ***ret) {
        static const char *const other[] = { "TRACEPARENT=", "TRACESTATE=",
                                             "FASTWORKER_REPORT_FD=" };
        int r = 0;

        STRV_FOREACH(assignment, environ) {
                bool is_other = false;

                for (size_t i = 0; i < ELEMENTSOF(other); i++)
                        is_other |= strncmp(*assignment, other[i], strlen(other[i])) == 0;
                if (!is_other && r >= 0)
                        r = strv_extend(ret, *assignment);
        }
        return r;
}

static int set_task_variables(const fastworker_call *call, const struct iovec *traceparent,
                              char ***environment) {
        const char *id = fastworker_task_id(call), *name = fastworker_task_name(call);
        char attempt[16], fd[16];
        int r;

        (void) snprintf(attempt, sizeof(attempt), "%" PRIu32, fastworker_attempt(call));
        r = set_variable(environment, "FASTWORKER_TASK_ID", id, strlen(id));
        if (r >= 0)
                r = set_variable(environment, "FASTWORKER_TASK_NAME", name, strlen(name));
        if (r >= 0)
                r = set_variable(environment, "FASTWORKER_ATTEMPT", attempt, strlen(attempt));
        (void) snprintf(fd, sizeof(fd), "%d", COMMAND_REPORT_FD);
        if (r >= 0)
                r = set_variable(environment, "FASTWORKER_REPORT_FD", fd, strlen(fd));
        if (r >= 0 && traceparent->iov_len > 0)
                r = set_variable(environment, "TRACEPARENT", traceparent->iov_base,
                                 traceparent->iov_len);
        return r;
}

int command_environment(const TaskFile *t, const fastworker_call *call,
                        const struct iovec *traceparent, char ***ret, char **ret_error) {
        _cleanup_strv_ char **l = NULL;
        int r;

        *ret_error = NULL;
        r = copy_environment(&l);
        STRV_FOREACH(assignment, t->environment)
                if (r >= 0)
                        r = strv_assign(&l, *assignment);
        if (r >= 0)
                r = task_file_read_environment(t, &l, ret_error);
        if (r >= 0)
                r = set_task_variables(call, traceparent, &l);
        if (r >= 0)
                *ret = TAKE_PTR(l);
        return r;
}

void command_spec_done(CommandSpec *s) {
        strv_free(s->argv);
        strv_free(s->environment);
        safe_close(s->input_fd);
        *s = (CommandSpec){ .input_fd = -EBADF };
}
