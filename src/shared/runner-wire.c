/* SPDX-License-Identifier: MIT */

#include "runner-wire.h"

static const char *const runner_verb_table[_RUNNER_VERB_MAX] = {
        [RUNNER_RUN] = "RUN",   [RUNNER_HELLO] = "HELLO", [RUNNER_FAILED] = "FAILED",
        [RUNNER_DONE] = "DONE", [RUNNER_LOG] = "LOG",
};

DEFINE_STRING_TABLE(runner_verb, RunnerVerb);

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
        default:
                *p = NULL; /* of an unknown verb no word is known */
                return true;
        }
}

/* After the fixed words come "key=value" words, of which later versions may have more. */
static bool decode_options(const char **p, const char *end, RunnerMessage *m) {
        static const char fd_key[] = "fd=", output_mark[] = "output=marked";
        struct iovec word;
        uint64_t size;

        while (*p) {
                if (!next_word(p, end, &word) || !memchr(word.iov_base, '=', word.iov_len))
                        return false;
                if (m->verb == RUNNER_DONE && word_is(&word, output_mark))
                        m->marked = true;
                if (word.iov_len < strlen(fd_key) ||
                    memcmp(word.iov_base, fd_key, strlen(fd_key)) != 0)
                        continue;
                word.iov_base = (char *) word.iov_base + strlen(fd_key);
                word.iov_len -= strlen(fd_key);
                if (m->in_fd || !parse_number(&word, &size) || size > SIZE_MAX - 1)
                        return false;
                m->in_fd = true;
                m->payload_size = (size_t) size;
        }
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

int runner_packet_run(RunnerPacket *p, uint64_t seq, const TaskId *id, uint64_t attempt,
                      const char *name, const void *arguments, size_t size) {
        size_t name_size = strlen(name);
        char *end;

        if (name_size < 1 || name_size > RUNNER_NAME_MAX)
                return -EMSGSIZE;
        end = put_number(put_verb(p, RUNNER_RUN), seq);
        task_id_to_text(id, end);
        end[TASK_ID_TEXT_LENGTH] = ' ';
        end = put_number(end + TASK_ID_TEXT_LENGTH + 1, attempt);
        return finish(p, put_text(end, name, name_size), arguments, size);
}

int runner_packet_hello(RunnerPacket *p, const char *types, size_t size) {
        char *end = put_number(put_verb(p, RUNNER_HELLO), RUNNER_VERSION);

        return finish(p, put_number(end, (uint64_t) getpid()), types, size);
}

int runner_packet_failed(RunnerPacket *p, const char *text) {
        return finish(p, put_verb(p, RUNNER_FAILED), text,
                      MIN(strlen(text), (size_t) RUNNER_TEXT_MAX));
}

int runner_packet_done(RunnerPacket *p, uint64_t seq, bool success, uint64_t started_usec,
                       uint64_t completed_usec, const void *payload, size_t size) {
        char *end = put_number(put_verb(p, RUNNER_DONE), seq);

        end = put_text(end, success ? "success" : "failure", strlen("success"));
        end = put_number(put_number(end, started_usec), completed_usec);
        if (p->marked)
                end = stpcpy(end, "output=marked ");
        return finish(p, end, payload, size);
}

int runner_packet_log(RunnerPacket *p, uint64_t seq, int priority, const char *text, size_t size) {
        char *end = put_number(put_verb(p, RUNNER_LOG), seq);

        end = put_number(end, (uint64_t) CLAMP(priority, 0, 7));
        return finish(p, end, text, MIN(size, (size_t) RUNNER_TEXT_MAX));
}

void runner_packet_clear(RunnerPacket *p) {
        p->fd = safe_close(p->fd);
}
