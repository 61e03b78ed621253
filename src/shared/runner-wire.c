/* SPDX-License-Identifier: MIT */

#include "runner-wire.h"
#include "time-util.h"

static const char *const runner_verb_table[_RUNNER_VERB_MAX] = {
        [RUNNER_RUN] = "RUN",   [RUNNER_HELLO] = "HELLO", [RUNNER_FAILED] = "FAILED",
        [RUNNER_DONE] = "DONE", [RUNNER_LOG] = "LOG",     [RUNNER_PROGRESS] = "PROGRESS",
};

DEFINE_STRING_TABLE(runner_verb, RunnerVerb);

static const char *const runner_reason_table[_RUNNER_REASON_MAX] = {
        [RUNNER_REASON_NONE] = "",
        [RUNNER_REASON_EXIT] = "exit",
        [RUNNER_REASON_SIGNAL] = "signal",
        [RUNNER_REASON_TIMEOUT] = "timeout",
};
DEFINE_STRING_TABLE(runner_reason, RunnerReason);

/* --- decoding ------------------------------------------------------------------------------------- */

/* Takes the next word of the line, which ends at `end`. Words are separated by exactly one space. */
static bool next_word(const char **p, const char *end, struct iovec *ret) {
        const char *word = *p, *q;

        if (!word)
                return false;
        q = memchr(word, ' ', (size_t) (end - word));
        *p = q ? q + 1 : NULL;
        if (!q)
                q = end;
        *ret = (struct iovec){ (char *) word, (size_t) (q - word) };
        return q > word;
}

/* 19 digits always fit into 64 bits. */
static bool parse_number(const struct iovec *word, uint64_t *ret) {
        const char *s = word->iov_base;
        uint64_t n = 0;

        if (word->iov_len < 1 || word->iov_len > 19)
                return false;
        for (size_t i = 0; i < word->iov_len; i++) {
                if (s[i] < '0' || s[i] > '9')
                        return false;
                n = n * 10 + (uint64_t) (s[i] - '0');
        }
        *ret = n;
        return true;
}

static bool next_number(const char **p, const char *end, uint64_t *ret) {
        struct iovec word;

        return next_word(p, end, &word) && parse_number(&word, ret);
}

static bool word_is(const struct iovec *word, const char *text) {
        return word->iov_len == strlen(text) && memcmp(word->iov_base, text, word->iov_len) == 0;
}

static RunnerVerb find_verb(const struct iovec *word) {
        for (RunnerVerb v = 0; v < _RUNNER_VERB_MAX; v++)
                if (word_is(word, runner_verb_table[v]))
                        return v;
        return _RUNNER_VERB_INVALID;
}

static bool decode_run(const char **p, const char *end, RunnerMessage *m) {
        struct iovec id;

        return next_number(p, end, &m->seq) && next_word(p, end, &id) &&
               task_id_from_text(id.iov_base, id.iov_len, &m->task_id) >= 0 &&
               next_number(p, end, &m->attempt) && next_word(p, end, &m->name) &&
               m->name.iov_len <= RUNNER_NAME_MAX;
}

static bool decode_done(const char **p, const char *end, RunnerMessage *m) {
        struct iovec outcome;

        if (!next_number(p, end, &m->seq) || !next_word(p, end, &outcome))
                return false;
        m->success = word_is(&outcome, "success");
        return (m->success || word_is(&outcome, "failure")) &&
               next_number(p, end, &m->started_usec) && next_number(p, end, &m->completed_usec);
}

static bool decode_log(const char **p, const char *end, RunnerMessage *m) {
        uint64_t priority;

        if (!next_number(p, end, &m->seq) || !next_number(p, end, &priority) || priority > 7)
                return false;
        m->priority = (int) priority;
        return true;
}

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

/* "42", "42.5", "1e-05" (as printf("%g") writes what is next to nothing), in hundredths. */
static bool parse_percent(const struct iovec *word, unsigned *ret) {
        const char *s = word->iov_base, *end = s + word->iov_len;
        unsigned n = 0, unit = 10;

        if (s == end || !is_digit(*s))
                return false;
        for (; s < end && is_digit(*s); s++)
                n = MIN(n * 10 + (unsigned) (*s - '0'), 100U);
        n *= 100;
        if (s < end && *s == '.') {
                if (++s == end || !is_digit(*s))
                        return false;
                for (; s < end && is_digit(*s); s++, unit /= 10)
                        n += unit * (unsigned) (*s - '0');
        }
        if (end - s > 2 && memcmp(s, "e-", 2) == 0) {
                n = 0;
                for (s += 2; s < end && is_digit(*s); s++)
                        ;
        }
        *ret = MIN(n, RUNNER_PERCENT_MAX);
        return s == end;
}

static bool decode_progress(const char **p, const char *end, RunnerMessage *m) {
        struct iovec percent;

        return next_number(p, end, &m->seq) && next_word(p, end, &percent) &&
               parse_percent(&percent, &m->percent);
}

static bool decode_fixed(const char **p, const char *end, RunnerMessage *m) {
        switch (m->verb) {
        case RUNNER_RUN:
                return decode_run(p, end, m);
        case RUNNER_HELLO:
                return next_number(p, end, &m->version) && next_number(p, end, &m->pid);
        case RUNNER_FAILED:
                return true;
        case RUNNER_DONE:
                return decode_done(p, end, m);
        case RUNNER_LOG:
                return decode_log(p, end, m);
        case RUNNER_PROGRESS:
                return decode_progress(p, end, m);
        default:
                *p = NULL; /* of an unknown verb no word is known */
                return true;
        }
}

static bool option_fd(const struct iovec *value, RunnerMessage *m) {
        uint64_t size;

        if (m->in_fd || !parse_number(value, &size) || size > SIZE_MAX - 1)
                return false;
        m->in_fd = true;
        m->payload_size = (size_t) size;
        return true;
}

static bool option_output(const struct iovec *value, RunnerMessage *m) {
        m->marked = word_is(value, "marked");
        return true; /* as below */
}

static bool option_retry(const struct iovec *value, RunnerMessage *m) {
        m->no_retry = word_is(value, "no");
        return true; /* what else a later version may say here is not known */
}

static bool option_cpu(const struct iovec *value, RunnerMessage *m) {
        m->usage.is_known = true;
        return parse_number(value, &m->usage.cpu_usec);
}

static bool option_memory_peak(const struct iovec *value, RunnerMessage *m) {
        return parse_number(value, &m->usage.memory_peak_bytes);
}

/* One that a later version may say is none that we know. */
static bool option_reason(const struct iovec *value, RunnerMessage *m) {
        for (RunnerReason r = RUNNER_REASON_NONE + 1; r < _RUNNER_REASON_MAX; r++)
                if (word_is(value, runner_reason_to_string(r)))
                        m->reason = r;
        return true;
}

static bool option_retry_after(const struct iovec *value, RunnerMessage *m) {
        m->has_retry_after = true;
        return parse_number(value, &m->retry_after_usec);
}

static bool option_soft_timeout(const struct iovec *value, RunnerMessage *m) {
        return parse_number(value, &m->soft_timeout_usec);
}

static bool option_timeout(const struct iovec *value, RunnerMessage *m) {
        return parse_number(value, &m->timeout_usec);
}

static bool option_traceparent(const struct iovec *value, RunnerMessage *m) {
        m->traceparent = *value;
        return value->iov_len >= 1 && value->iov_len <= RUNNER_TRACEPARENT_MAX;
}

static const struct {
        const char *key; /* with its "=" */
        RunnerVerb verb; /* _RUNNER_VERB_INVALID: all */
        bool (*decode)(const struct iovec *value, RunnerMessage *m);
} options[] = {
        { "fd=", _RUNNER_VERB_INVALID, option_fd },
        { "output=", RUNNER_DONE, option_output },
        { "cpu=", RUNNER_DONE, option_cpu },
        { "memory-peak=", RUNNER_DONE, option_memory_peak },
        { "reason=", RUNNER_DONE, option_reason },
        { "retry=", RUNNER_DONE, option_retry },
        { "retry-after=", RUNNER_DONE, option_retry_after },
        { "soft-timeout=", RUNNER_RUN, option_soft_timeout },
        { "timeout=", RUNNER_RUN, option_timeout },
        { "traceparent=", RUNNER_RUN, option_traceparent },
};

static bool decode_option(const struct iovec *word, RunnerMessage *m) {
        for (size_t i = 0; i < ELEMENTSOF(options); i++) {
                size_t n = strlen(options[i].key);

                if (word->iov_len < n || memcmp(word->iov_base, options[i].key, n) != 0)
                        continue;
                if (options[i].verb != _RUNNER_VERB_INVALID && options[i].verb != m->verb)
                        continue;
                return options[i].decode(
                        &(struct iovec){ (char *) word->iov_base + n, word->iov_len - n }, m);
        }
        return true;
}

/* After the fixed words come "key=value" words, of which later versions may have more. */
static bool decode_options(const char **p, const char *end, RunnerMessage *m) {
        struct iovec word;

        while (*p)
                if (!next_word(p, end, &word) || !memchr(word.iov_base, '=', word.iov_len) ||
                    !decode_option(&word, m))
                        return false;
        return true;
}

int runner_decode(const char *packet, size_t size, RunnerMessage *ret) {
        const char *end = memchr(packet, '\n', MIN(size, (size_t) RUNNER_HEADER_MAX)), *p = packet;
        RunnerMessage m = {};
        struct iovec verb;

        if (!end || !next_word(&p, end, &verb))
                return -EBADMSG;
        m.verb = find_verb(&verb);
        if (!decode_fixed(&p, end, &m) || !decode_options(&p, end, &m))
                return -EBADMSG;

        m.payload = end + 1;
        if (!m.in_fd)
                m.payload_size = size - (size_t) (m.payload - packet);
        else if ((size_t) (m.payload - packet) != size)
                return -EBADMSG;
        *ret = m;
        return 0;
}

/* --- composing ------------------------------------------------------------------------------------ */

static char *put_text(char *p, const char *text, size_t size) {
        memcpy(p, text, size);
        p[size] = ' ';
        return p + size + 1;
}

static char *put_number(char *p, uint64_t n) {
        char digits[20], *d = digits + sizeof(digits);

        do {
                *--d = (char) ('0' + n % 10);
                n /= 10;
        } while (n > 0);
        return put_text(p, d, (size_t) (digits + sizeof(digits) - d));
}

static char *put_verb(RunnerPacket *p, RunnerVerb verb) {
        const char *name = runner_verb_table[verb];

        return put_text(p->header, name, strlen(name));
}

static void attach_fd(RunnerPacket *p) {
        struct cmsghdr *c;

        p->msg.msg_control = &p->control;
        p->msg.msg_controllen = sizeof(p->control);
        c = CMSG_FIRSTHDR(&p->msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &p->fd, sizeof(int));
}

/* Ends the line, whose last character so far is a space, and adds the payload. */
static int finish(RunnerPacket *p, char *end, const void *payload, size_t size) {
        p->fd = safe_close(p->fd);
        p->msg = (struct msghdr){ .msg_iov = p->iov, .msg_iovlen = 1 };

        if (size > RUNNER_INLINE_MAX) {
                p->fd = runner_memfd_new(payload, size);
                if (p->fd < 0)
                        return p->fd;
                attach_fd(p);
                end = put_number(stpcpy(end, "fd="), size);
        } else if (size > 0) {
                p->iov[1] = (struct iovec){ (void *) payload, size };
                p->msg.msg_iovlen = 2;
        }

        end[-1] = '\n';
        p->header_size = (size_t) (end - p->header);
        p->iov[0] = (struct iovec){ p->header, p->header_size };
        return 0;
}

static char *put_option(char *p, const char *key, uint64_t n) {
        return put_number(stpcpy(p, key), n);
}

int runner_packet_run_with(RunnerPacket *p, uint64_t seq, const TaskId *id, uint64_t attempt,
                           const char *name, const RunnerRunOptions *o, const void *arguments,
                           size_t size) {
        size_t name_size = strlen(name);
        char *end;

        if (name_size < 1 || name_size > RUNNER_NAME_MAX ||
            (o && o->traceparent && strlen(o->traceparent) > RUNNER_TRACEPARENT_MAX))
                return -EMSGSIZE;
        end = put_number(put_verb(p, RUNNER_RUN), seq);
        task_id_to_text(id, end);
        end[TASK_ID_TEXT_LENGTH] = ' ';
        end = put_number(end + TASK_ID_TEXT_LENGTH + 1, attempt);
        end = put_text(end, name, name_size);
        if (o && o->soft_timeout_usec > 0)
                end = put_option(end, "soft-timeout=", o->soft_timeout_usec);
        if (o && o->timeout_usec > 0)
                end = put_option(end, "timeout=", o->timeout_usec);
        if (o && !isempty(o->traceparent))
                end = put_text(stpcpy(end, "traceparent="), o->traceparent, strlen(o->traceparent));
        return finish(p, end, arguments, size);
}

int runner_packet_run(RunnerPacket *p, uint64_t seq, const TaskId *id, uint64_t attempt,
                      const char *name, const void *arguments, size_t size) {
        return runner_packet_run_with(p, seq, id, attempt, name, NULL, arguments, size);
}

int runner_packet_hello(RunnerPacket *p, const char *types, size_t size) {
        char *end = put_number(put_verb(p, RUNNER_HELLO), RUNNER_VERSION);

        return finish(p, put_number(end, (uint64_t) getpid()), types, size);
}

int runner_packet_failed(RunnerPacket *p, const char *text) {
        return finish(p, put_verb(p, RUNNER_FAILED), text,
                      MIN(strlen(text), (size_t) RUNNER_TEXT_MAX));
}

int runner_packet_done_with(RunnerPacket *p, uint64_t seq, bool success, uint64_t started_usec,
                            uint64_t completed_usec, const RunnerRetry *retry, const void *payload,
                            size_t size) {
        char *end = put_number(put_verb(p, RUNNER_DONE), seq);

        end = put_text(end, success ? "success" : "failure", strlen("success"));
        end = put_number(put_number(end, started_usec), completed_usec);
        if (p->marked)
                end = stpcpy(end, "output=marked ");
        if (p->usage.is_known)
                end = put_option(put_option(end, "cpu=", p->usage.cpu_usec),
                                 "memory-peak=", p->usage.memory_peak_bytes);
        if (retry && retry->reason != RUNNER_REASON_NONE) {
                const char *reason = runner_reason_to_string(retry->reason);

                end = put_text(stpcpy(end, "reason="), reason, strlen(reason));
        }
        if (retry && retry->never)
                end = put_text(end, "retry=no", strlen("retry=no"));
        if (retry && !retry->never && retry->after_usec != USEC_INFINITY)
                end = put_option(end, "retry-after=", retry->after_usec);
        return finish(p, end, payload, size);
}

int runner_packet_done(RunnerPacket *p, uint64_t seq, bool success, uint64_t started_usec,
                       uint64_t completed_usec, const void *payload, size_t size) {
        return runner_packet_done_with(p, seq, success, started_usec, completed_usec, NULL, payload,
                                       size);
}

int runner_packet_progress(RunnerPacket *p, uint64_t seq, unsigned percent, const char *text,
                           size_t size) {
        char *end = put_number(put_verb(p, RUNNER_PROGRESS), seq);

        percent = MIN(percent, RUNNER_PERCENT_MAX);
        end = put_number(end, percent / 100);
        if (percent % 100 > 0) {
                end[-1] = '.';
                *end++ = (char) ('0' + percent / 10 % 10);
                *end++ = (char) ('0' + percent % 10);
                *end++ = ' ';
        }
        return finish(p, end, text, MIN(size, (size_t) RUNNER_TEXT_MAX));
}

int runner_packet_log(RunnerPacket *p, uint64_t seq, int priority, const char *text, size_t size) {
        char *end = put_number(put_verb(p, RUNNER_LOG), seq);

        end = put_number(end, (uint64_t) CLAMP(priority, 0, 7));
        return finish(p, end, text, MIN(size, (size_t) RUNNER_TEXT_MAX));
}

void runner_packet_clear(RunnerPacket *p) {
        p->fd = safe_close(p->fd);
}
