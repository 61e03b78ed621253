/* SPDX-License-Identifier: MIT */

#include <pthread.h>
#include <sys/eventfd.h>

#include "fake-internal.h"
#include "json-util.h"
#include "time-util.h"

void fake_add(Fake *f, FakeCounter counter, size_t n) {
        atomic_fetch_add(&f->counters[counter], (unsigned) n);
}

static void send_to(Fake *f, const void *peer, size_t size) {
        struct iovec routing = { (void *) peer, size };

        /* -EHOSTUNREACH: the client is gone. */
        (void) wire_send(f->socket, &routing, &f->out);
}

void fake_reply(Fake *f) {
        send_to(f, f->in.iov[0].iov_base, f->in.iov[0].iov_len);
}

void fake_refuse(Fake *f, const WireMessage *m, WireError code, const char *text) {
        wire_put_refusal(&f->out, &m->correlation, code, text);
        fake_reply(f);
}

static void put_result(Fake *f, const TaskId *id, const FakeTask *t) {
        wire_put_task_id(&f->out, id);
        wire_put_string(&f->out, t ? task_state_to_string(t->state) : "unknown");
        wire_put(&f->out, t ? t->result.iov_base : NULL, t ? t->result.iov_len : 0);
        wire_put_string(&f->out, t ? t->error : NULL);
        wire_put_number(&f->out, t ? t->created_usec : 0);
        wire_put_number(&f->out, t ? t->completed_usec : 0);
}

static void push(Fake *f, FakeTask *t) {
        if (t->waiter_size == 0)
                return;
        wire_begin(&f->out, WIRE_RESULT, NULL);
        put_result(f, &t->id, t);
        send_to(f, t->waiter, t->waiter_size);
        t->waiter_size = 0;
}

static void finish(Fake *f, FakeTask *t, TaskState state, const char *error) {
        t->state = state;
        t->error = error;
        t->completed_usec = now_usec(CLOCK_REALTIME);
        push(f, t);
}

static void subscribe(Fake *f, FakeTask *t) {
        const struct iovec *peer = &f->in.iov[0];

        MUST(peer->iov_len <= sizeof(t->waiter));
        memcpy(t->waiter, peer->iov_base, peer->iov_len);
        t->waiter_size = peer->iov_len;
        if (task_state_is_terminal(t->state))
                push(f, t);
}

static void run_task(Fake *f, FakeTask *t) {
        static char bytes[] = { '"', (char) 0xff, 'x' };

        if (streq(t->name, "fail"))
                finish(f, t, TASK_FAILURE, "it failed as told");
        else if (streq(t->name, "crash"))
                finish(f, t, TASK_DEAD, "it crashed\nthree times");
        else if (streq(t->name, "bytes")) {
                t->result = (struct iovec){ bytes, sizeof(bytes) };
                finish(f, t, TASK_SUCCESS, NULL);
        } else if (streq(t->name, "slow"))
                f->slow = t;
        else if (!streq(t->name, "hold")) {
                t->result = t->arguments;
                finish(f, t, TASK_SUCCESS, NULL);
        }
}

static void copy_text(char *to, const struct iovec *from) {
        if (from->iov_len > 0)
                memcpy(to, from->iov_base, from->iov_len);
        to[from->iov_len] = '\0';
}

static FakeTask *new_task(Fake *f, const struct iovec *group) {
        FakeTask *t = calloc(1, sizeof(*t));

        MUST(t);
        if (task_id_from_text(group[2].iov_base, group[2].iov_len, &t->id) < 0)
                MUST(task_id_new(&t->id) == 0);
        copy_text(t->name, &group[0]);
        copy_text(t->key, &group[2]);
        t->priority = task_priority_from_text(group[1].iov_base, group[1].iov_len);
        t->state = TASK_QUEUED;
        t->created_usec = now_usec(CLOCK_REALTIME);
        t->arguments.iov_base = wire_get_string(&group[3]);
        t->arguments.iov_len = group[3].iov_len;
        MUST(t->arguments.iov_base);
        MUST(group[4].iov_len < sizeof(t->options));
        copy_text(t->options, &group[4]);
        HASH_ADD(hh, f->tasks, id, sizeof(t->id), t);
        HASH_ADD_KEYPTR(by_key, f->keys, t->key, strlen(t->key), t);
        fake_add(f, FAKE_TASKS, 1);
        return t;
}

FakeTask *fake_find(Fake *f, const struct iovec *field) {
        TaskId id = wire_get_task_id(field);
        FakeTask *t;

        HASH_FIND(hh, f->tasks, &id, sizeof(id), t);
        return t;
}

static bool has_name(const WireMessage *m, const char *name) {
        for (size_t i = 0; i < m->n_groups; i++) {
                const struct iovec *field = wire_group(m, i);

                if (field->iov_len == strlen(name) &&
                    memcmp(field->iov_base, name, field->iov_len) == 0)
                        return true;
        }
        return false;
}

/* Whether one of the tasks has this unique key, and is to be refused if there is another one. */
static bool has_unique(const WireMessage *m, const char *key) {
        for (size_t i = 0; i < m->n_groups; i++) {
                _cleanup_json_ struct json_object *o = NULL;
                const struct iovec *options = &wire_group(m, i)[4];
                const char *unique = NULL, *policy = "refuse";

                MUST(json_parse_object(options->iov_base, options->iov_len, &o, NULL) == 0);
                (void) json_get_string(o, "unique", &unique);
                (void) json_get_string(o, "unique_policy", &policy);
                if (unique && streq(unique, key) && streq(policy, "refuse"))
                        return true;
        }
        return false;
}

/* True if the submit is not to be taken. */
static bool refuse_submit(Fake *f, const WireMessage *m) {
        if (has_name(m, "nosuch"))
                fake_refuse(f, m, WIRE_ERROR_UNKNOWN_TASK_TYPE,
                            "nobody offers nosuch; there are: echo, fail");
        else if (has_name(m, "full"))
                fake_refuse(f, m, WIRE_ERROR_QUEUE_FULL, "too many tasks are queued");
        else if (has_name(m, "nospace"))
                fake_refuse(f, m, WIRE_ERROR_NO_SPACE, "the store is full");
        else if (has_unique(m, "taken"))
                fake_refuse(f, m, WIRE_ERROR_EXISTS, "a task with this unique key has not ended");
        else if (has_name(m, "mute"))
                return true;
        else if (has_name(m, "deaf") && !f->was_deaf)
                f->was_deaf = true;
        else if (has_name(m, "stop") && !f->was_stopping) {
                f->was_stopping = true;
                fake_refuse(f, m, WIRE_ERROR_STOPPING, "going down");
        } else
                return false;
        return true;
}

static void on_submit(Fake *f, const WireMessage *m) {
        FakeTask *tasks[WIRE_BATCH_MAX];
        bool is_new[WIRE_BATCH_MAX];

        fake_add(f, FAKE_SUBMITS, 1);
        copy_text(f->options, &wire_group(m, m->n_groups - 1)[4]);
        if (refuse_submit(f, m))
                return;
        for (size_t i = 0; i < m->n_groups; i++) {
                const struct iovec *group = wire_group(m, i);

                HASH_FIND(by_key, f->keys, group[2].iov_base, group[2].iov_len, tasks[i]);
                is_new[i] = !tasks[i] || group[2].iov_len == 0;
                if (is_new[i])
                        tasks[i] = new_task(f, group);
        }
        wire_begin(&f->out, WIRE_ACCEPTED, &m->correlation);
        for (size_t i = 0; i < m->n_groups; i++)
                wire_put_task_id(&f->out, &tasks[i]->id);
        fake_reply(f);
        for (size_t i = 0; i < m->n_groups; i++) {
                if (wire_get_mode_is_wait(&m->fields[0]))
                        subscribe(f, tasks[i]);
                if (is_new[i])
                        run_task(f, tasks[i]);
        }
}

static void on_wait(Fake *f, const WireMessage *m) {
        fake_add(f, FAKE_WAITS, m->n_groups);
        for (size_t i = 0; i < m->n_groups; i++) {
                FakeTask *t = fake_find(f, wire_group(m, i));
                TaskId id = wire_get_task_id(wire_group(m, i));

                if (t) {
                        subscribe(f, t);
                        continue;
                }
                wire_begin(&f->out, WIRE_RESULT, NULL);
                put_result(f, &id, NULL);
                fake_reply(f);
        }
}

static void on_status(Fake *f, const WireMessage *m, FakeTask *t) {
        char info[1024], id[TASK_ID_TEXT_LENGTH + 1];

        task_id_to_text(&t->id, id);
        (void) snprintf(
                info, sizeof(info),
                "{\"task_id\":\"%s\",\"name\":\"%s\",\"status\":\"%s\",\"priority\":\"%s\","
                "\"worker\":\"sw1\",\"attempt\":1,\"created_at\":\"2026-11-24T12:30:01.000001Z\","
                "\"started_at\":null,\"completed_at\":%s,\"options\":%s,\"extra\":7}",
                id, t->name, task_state_to_string(t->state), task_priority_to_string(t->priority),
                task_state_is_terminal(t->state) ? "\"2026-11-24T12:30:02.25Z\"" : "null",
                t->options[0] ? t->options : "{}");
        wire_begin(&f->out, WIRE_TASK, &m->correlation);
        wire_put_string(&f->out, info);
        wire_put(&f->out, t->arguments.iov_base, t->arguments.iov_len);
        wire_put(&f->out, t->result.iov_base, t->result.iov_len);
        wire_put_string(&f->out, t->error);
        fake_reply(f);
}

static void on_cancel(Fake *f, const WireMessage *m, FakeTask *t) {
        bool had_ended = task_state_is_terminal(t->state);

        wire_begin(&f->out, WIRE_CANCELLED, &m->correlation);
        wire_put_task_id(&f->out, &t->id);
        wire_put_string(&f->out, wire_cancel_to_string(had_ended ? WIRE_CANCEL_FINISHED
                                                                 : WIRE_CANCEL_CANCELLED));
        wire_put_string(&f->out, had_ended ? task_state_to_string(t->state) : "cancelled");
        fake_reply(f);
        if (!had_ended)
                finish(f, t, TASK_CANCELLED, "cancelled");
}

void fake_answer_info(Fake *f, const WireMessage *m, WireVerb verb, const char *json) {
        wire_begin(&f->out, verb, &m->correlation);
        wire_put_string(&f->out, json);
        fake_reply(f);
}

static void on_discover(Fake *f, const WireMessage *m) {
        char json[512];

        (void) snprintf(
                json, sizeof(json),
                "{\"worker_id\":\"fake\",\"protocol\":[1,1],\"client\":[\"%s\"],\"worker\":[]}",
                f->announced ? f->announced : f->address);
        fake_answer_info(f, m, WIRE_INFO, json);
}

static void on_ping(Fake *f, const WireMessage *m) {
        wire_begin(&f->out, WIRE_PONG, &m->correlation);
        fake_reply(f);
        if (f->slow) {
                f->slow->result = f->slow->arguments;
                finish(f, f->slow, TASK_SUCCESS, NULL);
                f->slow = NULL;
        }
}

static const char *canned_answer(WireVerb verb) {
        switch (verb) {
        case WIRE_LIST:
                return "{\"tasks\":[{\"task_id\":\"0193a000-0000-7000-8000-000000000001\",\"name\":\"echo\","
                       "\"status\":\"success\",\"priority\":\"high\",\"worker\":\"sw1\",\"attempt\":1,"
                       "\"created_at\":\"2026-11-24T12:30:01.000001Z\",\"started_at\":null,"
                       "\"completed_at\":null}],\"truncated\":false}";
        case WIRE_WORKERS:
                return "{\"total_subworkers\":1,\"active_subworkers\":1,\"subworkers\":{\"sw1\":{"
                       "\"address\":\"tcp://127.0.0.1:5561\",\"status\":\"active\",\"load\":2,"
                       "\"last_seen\":\"2026-11-24T12:30:01.000001Z\",\"slots\":1,\"tasks_done\":7}}}";
        case WIRE_QUEUES:
                return "{\"queues\":{\"critical\":{\"count\":0,\"tasks\":[]},\"high\":{\"count\":2,\"tasks\":"
                       "[{\"id\":\"0193a000-0000-7000-8000-000000000001\",\"name\":\"echo\"}]},"
                       "\"normal\":{\"count\":1,\"tasks\":[]},\"low\":{\"count\":0,\"tasks\":[]}},"
                       "\"total_queued\":3}";
        case WIRE_TYPES:
                return "{\"types\":[{\"name\":\"echo\",\"description\":\"Says it again.\",\"queued\":0,"
                       "\"workers\":[\"sw1\"]}]}";
        default:
                return "{\"version\":\"fake\"}";
        }
}

static void on_forget(Fake *f, const WireMessage *m) {
        fake_add(f, FAKE_FORGETS, m->n_groups);
        wire_begin(&f->out, WIRE_ACK, &m->correlation);
        fake_reply(f);
}

static void on_message(Fake *f, const WireMessage *m) {
        const char *code = f->refuse_code;
        FakeTask *t;

        fake_add(f, FAKE_REQUESTS, 1);
        if (code && m->verb != WIRE_PING) {
                fake_refuse(f, m, wire_error_from_string(code), f->refuse_text);
                return;
        }
        switch (m->verb) {
        case WIRE_HELLO:
                fake_add(f, FAKE_HELLOS, 1);
                fake_answer_info(
                        f, m, WIRE_WELCOME,
                        "{\"worker_id\":\"fake\",\"limits\":{\"max_payload_bytes\":1000000}}");
                return;
        case WIRE_DISCOVER:
                on_discover(f, m);
                return;
        case WIRE_PING:
                on_ping(f, m);
                return;
        case WIRE_SUBMIT:
                on_submit(f, m);
                return;
        case WIRE_WAIT:
                on_wait(f, m);
                return;
        case WIRE_FORGET:
                on_forget(f, m);
                return;
        case WIRE_RETRY:
        case WIRE_PURGE:
        case WIRE_BACKUP:
        case WIRE_SCHEDULE:
        case WIRE_PAUSE:
                fake_administer(f, m);
                return;
        case WIRE_LIST:
                if (f->tasks)
                        fake_list(f, m);
                else
                        fake_answer_info(f, m, WIRE_INFO, canned_answer(m->verb));
                return;
        case WIRE_STATUS:
        case WIRE_CANCEL:
                t = fake_find(f, &m->fields[0]);
                if (!t)
                        fake_refuse(f, m, WIRE_ERROR_UNKNOWN_TASK,
                                    "this task is expired or unknown");
                else if (m->verb == WIRE_STATUS)
                        on_status(f, m, t);
                else
                        on_cancel(f, m, t);
                return;
        default:
                fake_answer_info(f, m, WIRE_INFO, canned_answer(m->verb));
        }
}

static void *run(void *userdata) {
        Fake *f = userdata;
        zmq_pollitem_t items[] = {
                { .fd = f->stop_fd, .events = ZMQ_POLLIN },
                { .socket = f->socket, .events = ZMQ_POLLIN },
        };

        for (;;) {
                WireRefusal refusal;
                WireMessage m;

                MUST(zmq_poll(items, ELEMENTSOF(items), -1) >= 0);
                if (items[0].revents)
                        return NULL;
                while (frames_recv(&f->in, f->socket) >= 0)
                        if (wire_decode(f->in.iov + 1, f->in.n - 1,
                                        WIRE_CLIENT_TO_CONTROLD | WIRE_ANYONE_TO_DISCOVERY, &m,
                                        &refusal) < 0)
                                fake_refuse(f, &m, refusal.code, refusal.text);
                        else
                                on_message(f, &m);
        }
}

/* --- what tests call --- */

void fake_start(Fake *f) {
        static const SocketLimits limits = { WIRE_PAYLOAD_MAX, 100000 };
        char *address;

        f->context = zmq_ctx_new();
        MUST(f->context);
        MUST(zsocket_new(f->context, ZMQ_ROUTER, &limits, &f->socket) == 0);
        MUST(zsocket_bind(f->socket, f->address, -1) == 0);
        MUST(zsocket_last_endpoint(f->socket, &address) == 0);
        free(f->address);
        f->address = address;
        f->stop_fd = eventfd(0, EFD_CLOEXEC);
        MUST(f->stop_fd >= 0);
        MUST(pthread_create(&f->thread, NULL, run, f) == 0);
        f->is_running = true;
}

void fake_stop(Fake *f) {
        MUST(eventfd_write(f->stop_fd, 1) == 0);
        MUST(pthread_join(f->thread, NULL) == 0);
        f->is_running = false;
        f->stop_fd = safe_close(f->stop_fd);
        frames_done(&f->in);
        f->socket = zsocket_close(f->socket);
        /* Waits until the listening socket is closed, so that the address is free. */
        MUST(zmq_ctx_term(f->context) == 0);
}

void fake_forget_task(Fake *f, FakeTask *t) {
        HASH_DELETE(hh, f->tasks, t);
        HASH_DELETE(by_key, f->keys, t);
        free(t->arguments.iov_base);
        free(t);
}

void fake_forget(Fake *f) {
        FakeTask *t, *next;

        HASH_ITER(hh, f->tasks, t, next)
                fake_forget_task(f, t);
        f->slow = NULL;
}

Fake *fake_new(const char *address) {
        Fake *f = calloc(1, sizeof(*f));

        MUST(f);
        f->address = strdup(address);
        MUST(f->address);
        fake_start(f);
        return f;
}

const char *fake_address(const Fake *f) {
        return f->address;
}

void fake_announce(Fake *f, const char *address) {
        MUST(!f->is_running);
        free(f->announced);
        f->announced = strdup(address);
        MUST(f->announced);
}

void fake_refuse_all(Fake *f, const char *code, const char *text) {
        f->refuse_text = text;
        f->refuse_code = code;
}

void fake_steal(Fake *f, unsigned n) {
        f->n_stolen = n;
}

const char *fake_options(const Fake *f) {
        return f->options;
}

unsigned fake_count(const Fake *f, FakeCounter counter) {
        return atomic_load(&f->counters[counter]);
}

Fake *fake_free(Fake *f) {
        if (!f)
                return NULL;
        if (f->is_running)
                fake_stop(f);
        fake_forget(f);
        wire_out_done(&f->out);
        free(f->address);
        free(f->announced);
        free(f);
        return NULL;
}
