/* SPDX-License-Identifier: MIT */

#include <stdio.h>
#include <sys/socket.h>

#include "log.h"
#include "slot-internal.h"
#include "time-util.h"

#define SOCKET_BUFFER_BYTES (512 * 1024)

/* How long we stay with one runner at a time. It may send without end; more than this it cannot have sent before we
 * began to look, as the socket holds less. */
#define SETTLE_BATCHES 64U

static void set_state(Slot *s, SlotState state) {
        s->state = state;
        s->state_since = now_usec(CLOCK_MONOTONIC);
}

SlotState slot_state(const Slot *s) {
        return s->state;
}

pid_t slot_pid(const Slot *s) {
        return s->process.pid;
}

uint64_t slot_state_since(const Slot *s) {
        return s->state_since;
}

unsigned slot_count(const Slot *s) {
        return s->n_piped + s->n_staged;
}

Job *slot_head(const Slot *s, uint64_t *ret_since) {
        if (ret_since)
                *ret_since = s->head_since;
        return TAILQ_FIRST(&s->piped);
}

uint64_t slot_seq(const Slot *s) {
        return s->seq;
}

uint64_t slot_n_given(const Slot *s) {
        return s->seq - s->first_seq;
}

uint64_t slot_n_ended(const Slot *s) {
        return slot_n_given(s) - s->n_piped;
}

/* --- what tasks use, and leave behind ------------------------------------------------------------- */

void slot_measure(Slot *s) {
        uint64_t now = now_usec(CLOCK_MONOTONIC);

        meter_begin(&s->meter, s->process.pid, s->process.group, now - MIN(s->head_since, now));
}

uint64_t slot_memory(const Slot *s) {
        return usage_memory(s->process.pid, s->process.group);
}

bool slot_clean_up(Slot *s) {
        s->is_littered = !process_end_children(&s->process);
        if (!s->is_littered)
                meter_idle(&s->meter, s->process.pid, s->process.group);
        return !s->is_littered;
}

bool slot_is_littered(const Slot *s) {
        return s->is_littered;
}

static void enter_usage(Job *job, const Usage *usage) {
        job->measured = true;
        job->cpu_usec = usage->cpu_usec;
        job->memory_peak_bytes = usage->memory_bytes;
}

/* Of a task that has run for so long that this does not count. */
static void settle_long_task(Slot *s, Job *job) {
        Usage total, usage;

        usage_read(s->process.pid, s->process.group, &total);
        if (meter_end(&s->meter, &total, &usage))
                enter_usage(job, &usage);
        s->is_littered = true;
}

/* Ends what tasks have left behind. Not as long as another is in the socket: the runner may have begun that already, and
 * whose children they are cannot be told. With none there it has nothing to begin before we send it something. */
static void end_litter(Slot *s) {
        if (s->is_littered && s->n_piped == 0 && s->state == SLOT_READY)
                s->is_littered = !process_end_children(&s->process);
}

/* --- jobs into the socket and back ---------------------------------------------------------------- */

bool slot_accepts(const Slot *s, uint32_t expected_usec) {
        unsigned n = slot_count(s);

        if (s->state != SLOT_READY || s->broken)
                return false;
        if (s->shared->tasks_max > 0 && slot_n_given(s) + s->n_staged >= s->shared->tasks_max)
                return false;
        if (n == 0)
                return !s->is_littered;
        /* Behind one that takes long, nothing waits; and for a clean-up the runner has to become idle. */
        return !s->is_littered && !s->meter.running && n < SLOT_PIPE_MAX &&
               s->piped_usec + expected_usec <= SLOT_PIPED_USEC;
}

void slot_stage(Slot *s, Job *job) {
        job->state = JOB_PIPED;
        job->slot = s;
        job->expected_usec = type_expected_usec(job->type);
        TAILQ_INSERT_TAIL(&s->staged, job, entry);
        s->n_staged++;
        s->piped_usec += job->expected_usec;
}

/* Lets go of a job that is in neither list any more. */
static void let_go(Slot *s, Job *job) {
        s->piped_usec -= job->expected_usec;
        job->state = JOB_WAITING;
        job->slot = NULL;
}

static void remove_piped(Slot *s, Job *job) {
        TAILQ_REMOVE(&s->piped, job, entry);
        s->n_piped--;
        let_go(s, job);
}

/* Composes packets for what is staged. Returns how many, or -errno if that fails for the first. */
static int compose(Slot *s, struct mmsghdr *mmsg) {
        RunnerPacket *packets = s->shared->packets;
        unsigned n = 0;
        Job *job;
        int r;

        TAILQ_FOREACH(job, &s->staged, entry) {
                const RunnerRunOptions options = {
                        .soft_timeout_usec = job->limits.soft_timeout_usec,
                        .timeout_usec = job->limits.timeout_usec,
                        .traceparent = job->traceparent,
                };

                if (n == SLOT_PIPE_MAX)
                        break;
                job->seq = s->seq + n;
                r = runner_packet_run_with(&packets[n], job->seq, &job->key.id, job->key.attempt,
                                           type_name(job->type), &options, job->arguments,
                                           job->arguments_size);
                if (r < 0)
                        return n > 0 ? (int) n : r;
                mmsg[n] = (struct mmsghdr){ .msg_hdr = packets[n].msg };
                n++;
        }
        return (int) n;
}

static void move_sent(Slot *s, unsigned n) {
        if (s->n_piped == 0 && n > 0)
                s->head_since = now_usec(CLOCK_MONOTONIC);
        s->seq += n;
        for (; n > 0; n--) {
                Job *job = TAILQ_FIRST(&s->staged);

                TAILQ_REMOVE(&s->staged, job, entry);
                s->n_staged--;
                TAILQ_INSERT_TAIL(&s->piped, job, entry);
                s->n_piped++;
        }
}

/* A task with resources of its own is alone in the socket: see type_expected_usec(). */
static void set_resources(Slot *s) {
        const Job *job = TAILQ_FIRST(&s->staged);
        int r;

        if (s->n_piped > 0)
                return;
        r = process_limit(&s->process, s->shared->memory_max, type_resources(job->type));
        if (r < 0)
                log_debug_errno(r, "Cannot set the resources of task %s, ignoring: %m",
                                type_name(job->type));
}

int slot_flush(Slot *s, JobList *unsent) {
        struct mmsghdr mmsg[SLOT_PIPE_MAX];
        int n, sent = 0, r = 0;
        Job *job;

        if (s->n_staged == 0)
                return 0;

        set_resources(s);
        n = compose(s, mmsg);
        if (n < 0)
                r = n;
        else {
                sent = sendmmsg(s->fd, mmsg, (unsigned) n, MSG_DONTWAIT | MSG_NOSIGNAL);
                if (sent < 0) {
                        r = errno == EAGAIN || errno == EINTR ? 0 : -errno;
                        sent = 0;
                }
                for (int i = 0; i < n; i++)
                        runner_packet_clear(&s->shared->packets[i]);
        }
        move_sent(s, (unsigned) sent);

        while ((job = TAILQ_FIRST(&s->staged))) {
                TAILQ_REMOVE(&s->staged, job, entry);
                s->n_staged--;
                let_go(s, job);
                TAILQ_INSERT_TAIL(unsent, job, entry);
        }
        return r;
}

/* Takes the job that the packet was about, and with it nothing else: packets come out in order. */
static void give_back(Slot *s, const RunnerMessage *m, JobList *ret) {
        Job *job, *next;

        for (job = TAILQ_FIRST(&s->piped); job; job = next) {
                next = TAILQ_NEXT(job, entry);
                if (job->seq != m->seq)
                        continue;
                remove_piped(s, job);
                TAILQ_INSERT_TAIL(ret, job, entry);
                s->first_seq++;
                return;
        }
}

void slot_take_back(Slot *s, JobList *ret) {
        char header[RUNNER_HEADER_MAX];
        RunnerMessage m;
        ssize_t n;

        if (s->runner_fd < 0)
                return;

        /* Only the line is of interest; the kernel drops the rest of the packet and its memfd. */
        while ((n = recv(s->runner_fd, header, sizeof(header), MSG_DONTWAIT)) > 0)
                if (runner_decode(header, (size_t) n, &m) >= 0 && m.verb == RUNNER_RUN)
                        give_back(s, &m, ret);
        if (s->n_piped == 0)
                s->meter.running = false;
        slot_output_resume(s);
}

/* --- answers -------------------------------------------------------------------------------------- */

/* The runner is of no use any more. */
static void break_off(Slot *s, const char *reason) {
        if (s->broken)
                return;
        s->broken = true;
        (void) snprintf(s->reason, sizeof(s->reason), "%s", reason);
        process_kill(&s->process);
        set_state(s, SLOT_ENDING);
}

static void on_hello(Slot *s, const RunnerMessage *m) {
        if (s->state == SLOT_ENDING)
                return;
        if (s->state != SLOT_STARTING) {
                break_off(s, "runner said HELLO twice");
                return;
        }
        if (m->version != RUNNER_VERSION) {
                break_off(s, "runner speaks another version of the runner protocol");
                return;
        }
        s->was_ready = true;
        process_keep_children(&s->process);
        set_state(s, SLOT_READY);
        s->ready_since = s->state_since;
        s->shared->handlers->ready(s, m->payload, m->payload_size, s->shared->userdata);
}

static void on_done(Slot *s, const RunnerMessage *m) {
        Job *job = TAILQ_FIRST(&s->piped);

        if (!job || job->seq != m->seq) {
                break_off(s, "runner reported the end of a task that it does not have");
                return;
        }
        slot_output_end(s, job, m->seq, m->marked);
        if (s->meter.running)
                settle_long_task(s, job);
        remove_piped(s, job);
        end_litter(s);
        slot_output_resume(s);
        if (s->n_piped > 0)
                s->head_since = now_usec(CLOCK_MONOTONIC);
        s->shared->handlers->done(s, job, m, s->shared->userdata);
}

static void on_log(Slot *s, const RunnerMessage *m) {
        const Job *job = TAILQ_FIRST(&s->piped);

        if (job && job->seq != m->seq)
                job = NULL;
        if (slot_output_admit(s, job, m->priority, m->payload_size))
                s->shared->handlers->log(s, job, m, s->shared->userdata);
}

static void on_progress(Slot *s, const RunnerMessage *m) {
        Job *job = TAILQ_FIRST(&s->piped);

        if (job && job->seq == m->seq)
                s->shared->handlers->progress(s, job, m, s->shared->userdata);
}

static void on_message(Slot *s, const RunnerMessage *m) {
        switch (m->verb) {
        case RUNNER_HELLO:
                on_hello(s, m);
                break;
        case RUNNER_FAILED:
                (void) snprintf(s->reason, sizeof(s->reason), "%.*s",
                                (int) MIN(m->payload_size, (size_t) SLOT_REASON_MAX), m->payload);
                break;
        case RUNNER_DONE:
                on_done(s, m);
                break;
        case RUNNER_LOG:
                on_log(s, m);
                break;
        case RUNNER_PROGRESS:
                on_progress(s, m);
                break;
        case RUNNER_RUN:
                break_off(s, "runner sent a request");
                break;
        default:
                break; /* of a later version */
        }
}

/* Takes one batch of packets. Returns false when there was none. */
static bool receive(Slot *s) {
        RunnerMessage m;
        int n, r;

        n = runner_inbox_receive(s->shared->inbox, s->fd, MSG_DONTWAIT);
        if (n <= 0)
                return false;
        for (int i = 0; i < n && !s->broken; i++) {
                r = runner_inbox_get(s->shared->inbox, (unsigned) i, s->shared->result_max, &m);
                if (r == -EMSGSIZE)
                        break_off(s, "runner sent more than the limit on results");
                else if (r < 0)
                        break_off(s, "runner broke the runner protocol");
                else
                        on_message(s, &m);
        }
        return true;
}

void slot_settle(Slot *s) {
        unsigned n = 0;

        while (n < SETTLE_BATCHES && s->fd >= 0 && !s->broken && receive(s))
                n++;
        if (n > 0)
                s->shared->handlers->turn(s->shared->userdata);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Slot *s = userdata;

        if (s->broken || !receive(s))
                return 0;
        s->shared->handlers->turn(s->shared->userdata);
        return 0;
}

/* --- the process ---------------------------------------------------------------------------------- */

static void close_all(Slot *s) {
        s->io = sd_event_source_disable_unref(s->io);
        s->child = sd_event_source_disable_unref(s->child);
        s->output_io = sd_event_source_disable_unref(s->output_io);
        s->output = output_free(s->output);
        s->fd = safe_close(s->fd);
        s->runner_fd = safe_close(s->runner_fd);
}

static JobReason why_ended(const ProcessEnd *how) {
        if (how->oom != CGROUP_OOM_NONE)
                return JOB_REASON_OOM;
        return how->status.si_code == CLD_EXITED ? JOB_REASON_EXIT : JOB_REASON_SIGNAL;
}

/* The handler may free the slot. */
static void report_end(Slot *s, const ProcessEnd *how) {
        const SlotShared *shared = s->shared;
        JobList undone = TAILQ_HEAD_INITIALIZER(undone);
        uint64_t now = now_usec(CLOCK_MONOTONIC), ran = now - MIN(s->head_since, now);
        SlotEnd end = {
                .reason = s->reason,
                .was_ready = s->was_ready,
                .intended = s->intended,
                .ready_usec = now - MIN(s->ready_since, now),
                .started_usec = now_usec(CLOCK_REALTIME) - ran,
                .undone = &undone,
        };
        Usage usage;
        Job *job;

        slot_take_back(s, &undone);
        slot_output_drain(s);
        close_all(s);
        end.interrupted = TAILQ_FIRST(&s->piped);
        if (end.interrupted) {
                remove_piped(s, end.interrupted);
                end.interrupted->reason = why_ended(how);
                meter_end_last(&s->meter, &how->usage, ran, &usage);
                enter_usage(end.interrupted, &usage);
        }

        /* A runner that takes more than one packet at a time has no right to; only the first can run. */
        while ((job = TAILQ_LAST(&s->piped, JobList))) {
                remove_piped(s, job);
                TAILQ_INSERT_HEAD(&undone, job, entry);
        }

        set_state(s, SLOT_DOWN);
        shared->handlers->gone(s, &end, shared->userdata);
        shared->handlers->turn(shared->userdata);
}

static int on_child(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Slot *s = userdata;
        ProcessEnd how = {};
        int r;

        /* Nothing comes after its last words, but they may not have been read. */
        slot_settle(s);
        r = process_reap(&s->process, &how);
        if (r == -EAGAIN)
                return 0;
        if (isempty(s->reason)) {
                if (r < 0)
                        (void) snprintf(s->reason, sizeof(s->reason), "runner was lost: %s",
                                        strerror(-r));
                else
                        process_describe(&how, s->reason, sizeof(s->reason));
        }
        report_end(s, &how);
        return 0;
}

static int watch(Slot *s) {
        int r;

        r = sd_event_add_io(s->shared->event, &s->io, s->fd, EPOLLIN, on_io, s);
        if (r < 0)
                return r;
        r = sd_event_add_io(s->shared->event, &s->output_io, output_fd(s->output), EPOLLIN,
                            slot_on_output, s);
        if (r < 0)
                return r;
        return sd_event_add_io(s->shared->event, &s->child, s->process.pidfd, EPOLLIN, on_child, s);
}

int slot_start(Slot *s, char *const *argv, char *const *environment) {
        static const int buffer = SOCKET_BUFFER_BYTES;
        ProcessConfig config = {
                .argv = argv,
                .environment = environment,
                .output_fd = -EBADF,
                .user = s->shared->user,
                .cgroup = s->shared->cgroup,
                .memory_max = s->shared->memory_max,
        };
        int fds[2], r;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;
        s->fd = fds[0];
        s->runner_fd = fds[1];
        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                (void) setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));

        config.socket_fd = s->runner_fd;
        r = output_new(&s->output, &config.output_fd);
        if (r >= 0)
                r = process_start(&config, &s->process);
        safe_close(config.output_fd);
        if (r >= 0)
                r = watch(s);
        if (r < 0) {
                close_all(s);
                process_discard(&s->process);
                return r;
        }
        s->was_ready = s->intended = s->broken = false;
        s->first_seq = s->seq;
        s->output_bytes = s->output_lost = 0;
        output_tail_clear(&s->tail);
        meter_reset(&s->meter);
        s->is_littered = false;
        s->reason[0] = '\0';
        set_state(s, SLOT_STARTING);
        return 0;
}

void slot_stop(Slot *s) {
        if (s->state != SLOT_STARTING && s->state != SLOT_READY)
                return;
        s->intended = true;
        (void) shutdown(s->fd, SHUT_WR);
        set_state(s, SLOT_ENDING);
}

void slot_kill(Slot *s) {
        if (s->state == SLOT_DOWN)
                return;
        s->intended = true;
        process_kill(&s->process);
        if (s->state != SLOT_ENDING)
                set_state(s, SLOT_ENDING);
}

int slot_new(const SlotShared *shared, Slot **ret) {
        Slot *s = calloc(1, sizeof(*s));

        if (!s)
                return -ENOMEM;
        s->shared = shared;
        s->fd = s->runner_fd = -EBADF;
        s->process = PROCESS_NONE;
        TAILQ_INIT(&s->piped);
        TAILQ_INIT(&s->staged);
        set_state(s, SLOT_DOWN);
        *ret = s;
        return 0;
}

Slot *slot_free(Slot *s) {
        if (!s)
                return NULL;
        close_all(s);
        process_discard(&s->process);
        free(s);
        return NULL;
}
