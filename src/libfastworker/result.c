/* SPDX-License-Identifier: MIT */

/* How a task ended: filled from a RESULT message, handed out, copied, read. */

#include "client-internal.h"
#include "task-state.h"

static int set_text(char **buffer, size_t *allocated, const void *data, size_t size) {
        if (size + 1 > *allocated) {
                size_t n = MAX(size + 1, (size_t) 64);
                char *p = realloc(*buffer, n);

                if (!p)
                        return -ENOMEM;
                *buffer = p;
                *allocated = n;
        }
        if (size > 0)
                memcpy(*buffer, data, size);
        (*buffer)[size] = '\0';
        return 0;
}

int result_set_data(fastworker_result *r, const void *data, size_t size) {
        int k = set_text(&r->data, &r->data_allocated, data, size);

        if (k >= 0)
                r->data_size = size;
        return k;
}

int result_set_error(fastworker_result *r, const void *text, size_t size) {
        return set_text(&r->error, &r->error_allocated, text, size);
}

/* Empties it but keeps the buffers. */
void result_clear(fastworker_result *r) {
        r->task_id[0] = r->code[0] = '\0';
        r->status = "unknown";
        r->data_size = 0;
        if (r->data)
                r->data[0] = '\0';
        if (r->error)
                r->error[0] = '\0';
        r->started_usec = r->completed_usec = 0;
        r->userdata = NULL;
}

void result_set_refusal(fastworker_result *r, const char *status, const char *text,
                        const char *code) {
        result_clear(r);
        r->status = status;
        strcpy(r->code, code);
        /* Without memory for the text the status still says it. */
        (void) result_set_error(r, text, strlen(text));
}

void result_done(fastworker_result *r) {
        free(r->data);
        free(r->error);
        r->data = r->error = NULL;
        r->data_allocated = r->error_allocated = 0;
}

static const char *status_text(const struct iovec *f) {
        static const TaskState likely[] = { TASK_SUCCESS, TASK_FAILURE };

        for (size_t i = 0; i < ELEMENTSOF(likely); i++) {
                const char *name = task_state_to_string(likely[i]);

                if (f->iov_len == strlen(name) && memcmp(f->iov_base, name, f->iov_len) == 0)
                        return name;
        }
        for (TaskState s = 0; s < _TASK_STATE_MAX; s++) {
                const char *name = task_state_to_string(s);

                if (f->iov_len == strlen(name) && memcmp(f->iov_base, name, f->iov_len) == 0)
                        return name;
        }
        return "unknown";
}

int result_from_group(fastworker_result *r, const struct iovec *group) {
        static const char unknown[] = "expired or unknown";
        const struct iovec *error = &group[3];
        int k;

        result_clear(r);
        memcpy(r->task_id, group[0].iov_base, TASK_ID_TEXT_LENGTH);
        r->task_id[TASK_ID_TEXT_LENGTH] = '\0';
        r->status = status_text(&group[1]);
        k = result_set_data(r, group[2].iov_base, group[2].iov_len);
        if (k < 0)
                return k;
        if (error->iov_len > 0)
                k = result_set_error(r, error->iov_base, error->iov_len);
        else if (streq(r->status, "unknown"))
                k = result_set_error(r, unknown, sizeof(unknown) - 1);
        if (k < 0)
                return k;
        r->started_usec = wire_get_number(&group[4]);
        r->completed_usec = wire_get_number(&group[5]);
        return 0;
}

void result_deliver(fastworker_client *c, Reply *reply, void *userdata) {
        c->current.userdata = userdata;
        if (reply) {
                reply->error = fastworker_result_copy(&c->current, &reply->result);
                if (reply->error < 0)
                        client_fail(c, ENOMEM, "Out of memory.");
                reply->done = true;
                return;
        }

        c->n_pending--;
        if (c->result_handler) {
                c->in_handler = true;
                c->result_handler(c, &c->current, c->result_userdata);
                c->in_handler = false;
        }
}

_public_ const char *fastworker_result_status(const fastworker_result *r) {
        return r->status;
}

_public_ int fastworker_result_is_success(const fastworker_result *r) {
        return streq(r->status, "success");
}

_public_ const char *fastworker_result_task_id(const fastworker_result *r) {
        return r->task_id;
}

_public_ const char *fastworker_result_data(const fastworker_result *r, size_t *ret_size) {
        if (ret_size)
                *ret_size = r->data_size;
        return r->data ? r->data : "";
}

_public_ const char *fastworker_result_error(const fastworker_result *r) {
        return r->error ? r->error : "";
}

_public_ const char *fastworker_result_error_code(const fastworker_result *r) {
        return r->code;
}

_public_ uint64_t fastworker_result_started_at(const fastworker_result *r) {
        return r->started_usec;
}

_public_ uint64_t fastworker_result_completed_at(const fastworker_result *r) {
        return r->completed_usec;
}

_public_ void *fastworker_result_userdata(const fastworker_result *r) {
        return r->userdata;
}

_public_ int fastworker_result_copy(const fastworker_result *r, fastworker_result **ret) {
        fastworker_result *copy = malloc(sizeof(*copy));
        int k;

        if (!copy)
                return -ENOMEM;
        *copy = *r;
        copy->data = copy->error = NULL;
        copy->data_size = copy->data_allocated = copy->error_allocated = 0;
        k = result_set_data(copy, r->data, r->data_size);
        if (k >= 0 && r->error)
                k = result_set_error(copy, r->error, strlen(r->error));
        if (k < 0) {
                fastworker_result_free(copy);
                return k;
        }
        *ret = copy;
        return 0;
}

_public_ fastworker_result *fastworker_result_free(fastworker_result *r) {
        if (r) {
                result_done(r);
                free(r);
        }
        return NULL;
}
