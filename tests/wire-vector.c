/* SPDX-License-Identifier: MIT */

#include "wire-vector.h"

static const struct {
        const char *name;
        WireDirection direction;
} directions[] = {
        { "client -> controld", WIRE_CLIENT_TO_CONTROLD },
        { "controld -> client", WIRE_CONTROLD_TO_CLIENT },
        { "worker -> controld", WIRE_WORKER_TO_CONTROLD },
        { "controld -> worker", WIRE_CONTROLD_TO_WORKER },
        { "anyone -> discovery", WIRE_ANYONE_TO_DISCOVERY },
        { "anyone -> worker", WIRE_ANYONE_TO_WORKER },
};

WireDirection wire_direction_from_string(const char *s) {
        for (size_t i = 0; i < ELEMENTSOF(directions); i++)
                if (streq(directions[i].name, s))
                        return directions[i].direction;
        return (WireDirection) 0;
}

const char *wire_direction_to_string(WireDirection d) {
        for (size_t i = 0; i < ELEMENTSOF(directions); i++)
                if (directions[i].direction == d)
                        return directions[i].name;
        return "?";
}

static int add_frame(WireVector *v, const void *data, size_t size) {
        char *copy = NULL;

        if (v->n_frames == v->n_allocated) {
                size_t n = MAX(v->n_allocated * 2, (size_t) 16);
                struct iovec *frames = reallocarray(v->frames, n, sizeof(*frames));

                if (!frames)
                        return -ENOMEM;
                v->frames = frames;
                v->n_allocated = n;
        }
        /* Exactly as long as the frame, so that a sanitizer sees a read past its end. */
        if (data) {
                copy = malloc(size);
                if (!copy)
                        return -ENOMEM;
                memcpy(copy, data, size);
        }
        v->frames[v->n_frames++] = (struct iovec){ copy, size };
        return 0;
}

static int hex_value(char c) {
        static const char digits[] = "0123456789abcdef";
        const char *p = c ? strchr(digits, c) : NULL;

        return p ? (int) (p - digits) : -EBADMSG;
}

static int hex_byte(const char *s, char *ret) {
        int high = hex_value(s[0]), low = high < 0 ? high : hex_value(s[1]);

        if (low < 0)
                return low;
        *ret = (char) (high << 4 | low);
        return 0;
}

static int read_escape(const char **s, char *ret) {
        static const char names[] = "\\\"ntr", values[] = "\\\"\n\t\r";
        const char *p = **s ? strchr(names, **s) : NULL;

        if (p) {
                *ret = values[p - names];
                (*s)++;
                return 0;
        }
        if (**s != 'x' || hex_byte(*s + 1, ret) < 0)
                return -EBADMSG;
        *s += 3;
        return 0;
}

static int read_text(WireVector *v, const char *s, size_t length) {
        _cleanup_free_ char *bytes = malloc(length + 1);
        size_t n = 0;

        if (!bytes)
                return -ENOMEM;
        while (*s != '"') {
                if (*s == '\0')
                        return -EBADMSG;
                if (*s == '\\') {
                        s++;
                        if (read_escape(&s, &bytes[n++]) < 0)
                                return -EBADMSG;
                } else
                        bytes[n++] = *s++;
        }
        return s[1] == '\0' ? add_frame(v, bytes, n) : -EBADMSG;
}

static int read_hex(WireVector *v, const char *s, size_t length) {
        _cleanup_free_ char *bytes = malloc(length + 1);
        size_t n = 0;

        if (!bytes)
                return -ENOMEM;
        while (*s) {
                if (*s == ' ') {
                        s++;
                        continue;
                }
                if (hex_byte(s, &bytes[n++]) < 0)
                        return -EBADMSG;
                s += 2;
        }
        return add_frame(v, bytes, n);
}

static int read_fill(WireVector *v, const char *s) {
        _cleanup_free_ char *bytes = NULL;
        unsigned value;
        size_t n;
        char end;

        if (sscanf(s, "%zu %2x%c", &n, &value, &end) != 2 || n > WIRE_PAYLOAD_MAX + 1)
                return -EBADMSG;
        bytes = malloc(n + 1);
        if (!bytes)
                return -ENOMEM;
        memset(bytes, (int) value, n);
        return add_frame(v, bytes, n);
}

static int read_repeat(WireVector *v, const char *s) {
        size_t times, n;
        char end;
        int r;

        if (sscanf(s, "%zu last %zu%c", &times, &n, &end) != 2 || n < 1 || n > v->n_frames ||
            times < 1 || times > 2 * WIRE_FRAMES_MAX)
                return -EBADMSG;
        for (size_t i = 0; i < (times - 1) * n; i++) {
                struct iovec f = v->frames[v->n_frames - n];

                r = add_frame(v, f.iov_base, f.iov_len);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* "VERB" or "VERB N" */
static int read_verb(WireVector *v, const char *s, bool canonical) {
        char verb[32], end;
        int n;

        n = sscanf(s, "%31s %zu%c", verb, &v->n_groups, &end);
        if (n != 1 && n != 2)
                return -EBADMSG;
        v->verb = wire_verb_from_string(verb);
        v->canonical = canonical;
        return (int) v->verb < 0 ? -EBADMSG : 1;
}

static const char *after(const char *s, const char *word) {
        size_t n = strlen(word);

        return strncmp(s, word, n) == 0 ? s + n : NULL;
}

/* Returns 1 if that was the verdict. */
static int read_line(WireVector *v, const char *s) {
        const char *rest;

        if (s[0] == '"')
                return read_text(v, s + 1, strlen(s));
        if (streq(s, "empty"))
                return add_frame(v, NULL, 0);
        if ((rest = after(s, "hex ")))
                return read_hex(v, rest, strlen(s));
        if ((rest = after(s, "fill ")))
                return read_fill(v, rest);
        if ((rest = after(s, "repeat ")))
                return read_repeat(v, rest);
        if ((rest = after(s, "ok ")))
                return read_verb(v, rest, true);
        if ((rest = after(s, "accepted ")))
                return read_verb(v, rest, false);
        if ((rest = after(s, "refused "))) {
                v->code = wire_error_from_string(rest);
                return (int) v->code < 0 ? -EBADMSG : 1;
        }
        if ((rest = after(s, "message "))) {
                if (v->title[0])
                        return -EBADMSG;
                (void) snprintf(v->title, sizeof(v->title), "%s", rest);
                return 0;
        }
        v->direction = wire_direction_from_string(s);
        return v->direction ? 0 : -EBADMSG;
}

static char *strip(char *s) {
        size_t n;

        s += strspn(s, " \t");
        n = strlen(s);
        while (n > 0 && strchr(" \t\r\n", s[n - 1]))
                s[--n] = '\0';
        return s;
}

int wire_vector_read(FILE *f, unsigned *line, WireVector *ret, const char **ret_error) {
        _cleanup_free_ char *buffer = NULL;
        WireVector v = { .verb = _WIRE_VERB_INVALID, .code = _WIRE_ERROR_INVALID };
        size_t size = 0;
        int r = 0;

        while (r == 0 && getline(&buffer, &size, f) >= 0) {
                char *s = strip(buffer);

                (*line)++;
                if (*s == '\0' || *s == '#')
                        continue;
                r = read_line(&v, s);
                if (!v.line)
                        v.line = *line;
        }

        if (r == 1 && v.title[0] && v.direction) {
                *ret = v;
                return 1;
        }
        if (r == 0 && !v.line)
                return 0;
        *ret_error =
                r < 0 ? "cannot read this line" : "a message without title, direction or verdict";
        wire_vector_done(&v);
        return -EBADMSG;
}

void wire_vector_done(WireVector *v) {
        for (size_t i = 0; i < v->n_frames; i++)
                free(v->frames[i].iov_base);
        free(v->frames);
        *v = (WireVector){};
}
