/* SPDX-License-Identifier: MIT */

/* Holds the decoder and the encoder against the messages in tests/vectors/ and against the worked examples
 * in doc/protocol.md, and the tables of that document against the tables of wire.c. */

#include <check.h>

#include "wire-vector.h"

static const char *const files[] = { "any.txt", "client.txt", "worker.txt", "framing.txt" };

/* What the vectors have shown so far. */
static bool verb_seen[_WIRE_VERB_MAX], verb_refused[_WIRE_VERB_MAX];
static unsigned verb_directions[_WIRE_VERB_MAX];
static bool code_refused[_WIRE_ERROR_MAX], code_sent[_WIRE_ERROR_MAX];

static FILE *open_source(const char *path) {
        _cleanup_free_ char *full = NULL;
        const char *directory = getenv("top_srcdir");
        FILE *f;

        ck_assert_int_ge(asprintf(&full, "%s/%s", directory ? directory : TOP_SRCDIR, path), 0);
        f = fopen(full, "re");
        ck_assert_msg(f, "%s: %s", full, strerror(errno));
        return f;
}

static void put_typed(WireOut *out, WireKind kind, const struct iovec *f) {
        TaskId id;

        switch (kind) {
        case WIRE_KIND_TASK_ID:
                id = wire_get_task_id(f);
                wire_put_task_id(out, &id);
                break;
        case WIRE_KIND_NUMBER:
                wire_put_number(out, wire_get_number(f));
                break;
        case WIRE_KIND_OUTCOME:
                wire_put_string(out, wire_outcome_to_string(wire_get_outcome(f)));
                break;
        case WIRE_KIND_CANCEL:
                wire_put_string(out, wire_cancel_to_string(wire_get_cancel(f)));
                break;
        case WIRE_KIND_MODE:
                wire_put_string(out, wire_get_mode_is_wait(f) ? "wait" : NULL);
                break;
        default:
                wire_put(out, f->iov_base, f->iov_len);
        }
}

/* Reads each field as what it is and writes it anew. */
static void encode(const WireMessage *m, WireOut *out) {
        const WireSchema *s = wire_schema(m->verb);

        wire_begin(out, m->verb, &m->correlation);
        for (size_t i = 0; s->fields[i]; i++)
                put_typed(out, (WireKind) s->fields[i], &m->fields[i]);
        for (size_t g = 0; g < m->n_groups; g++)
                for (size_t i = 0; i < m->group_size; i++)
                        put_typed(out, (WireKind) s->group[i], &wire_group(m, g)[i]);
}

static bool equals(const WireOut *out, const WireVector *v) {
        if (out->n != v->n_frames)
                return false;
        for (size_t i = 0; i < out->n; i++)
                if (out->frames[i].size != v->frames[i].iov_len ||
                    (out->frames[i].size > 0 &&
                     memcmp(wire_frame_data(&out->frames[i]), v->frames[i].iov_base,
                            out->frames[i].size) != 0))
                        return false;
        return true;
}

static void check_encoder(const char *file, const WireVector *v, const WireMessage *m) {
        WireOut out = {};

        encode(m, &out);
        ck_assert_int_eq(out.error, 0);
        ck_assert_msg(equals(&out, v) == v->canonical, "%s:%u: %s: the encoder's frames %s", file,
                      v->line, v->title, v->canonical ? "differ" : "are the same, use \"ok\"");
        if (m->verb == WIRE_ERROR && (int) wire_get_error(&m->fields[0]) >= 0) {
                _cleanup_free_ char *text = wire_get_string(&m->fields[1]);

                ck_assert_ptr_nonnull(text);
                code_sent[wire_get_error(&m->fields[0])] = true;
                wire_put_refusal(&out, &m->correlation, wire_get_error(&m->fields[0]), text);
                ck_assert_msg(equals(&out, v), "%s:%u: %s: as a refusal it looks different", file,
                              v->line, v->title);
        }
        wire_out_done(&out);
}

static void check_refusal(const char *file, const WireVector *v, const WireMessage *m,
                          const WireRefusal *refusal) {
        ck_assert_msg((int) v->verb < 0, "%s:%u: %s: refused: %s", file, v->line, v->title,
                      refusal->text);
        ck_assert_msg(refusal->code == v->code, "%s:%u: %s: refused as %s: %s", file, v->line,
                      v->title, wire_error_to_string(refusal->code), refusal->text);

        ck_assert_uint_gt(strlen(refusal->text), 0);
        for (const char *p = refusal->text; *p; p++)
                ck_assert_msg(*p >= 0x20 && *p <= 0x7e, "%s:%u: unprintable text", file, v->line);

        /* The asker must be able to tell which request it was. */
        if (v->n_frames >= 2 && v->frames[1].iov_len <= WIRE_CORRELATION_MAX)
                ck_assert_uint_eq(m->correlation.iov_len, v->frames[1].iov_len);
        else
                ck_assert_uint_eq(m->correlation.iov_len, 0);

        code_refused[refusal->code] = true;
        if ((int) m->verb >= 0)
                verb_refused[m->verb] = true;
}

static void check_vector(const char *file, const WireVector *v) {
        WireMessage m;
        WireRefusal refusal = {};
        int r;

        r = wire_decode(v->frames, v->n_frames, v->direction, &m, &refusal);
        if (r < 0) {
                ck_assert_int_eq(r, -EBADMSG);
                check_refusal(file, v, &m, &refusal);
                return;
        }
        ck_assert_msg((int) v->verb >= 0, "%s:%u: %s: is accepted", file, v->line, v->title);
        ck_assert_msg(m.verb == v->verb, "%s:%u: %s: is %s", file, v->line, v->title,
                      wire_verb_to_string(m.verb));
        ck_assert_msg(m.n_groups == v->n_groups, "%s:%u: %s: has %zu groups", file, v->line,
                      v->title, m.n_groups);
        verb_seen[m.verb] = true;
        verb_directions[m.verb] |= v->direction;
        check_encoder(file, v, &m);
}

static size_t check_stream(const char *name, FILE *f, unsigned line) {
        const char *error = NULL;
        size_t n = 0;
        WireVector v;
        int r;

        while ((r = wire_vector_read(f, &line, &v, &error)) > 0) {
                check_vector(name, &v);
                wire_vector_done(&v);
                n++;
        }
        ck_assert_msg(r == 0, "%s:%u: %s", name, line, error);
        return n;
}

START_TEST(test_vectors) {
        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                _cleanup_free_ char *path = NULL;
                FILE *f;

                ck_assert_int_ge(asprintf(&path, "tests/vectors/%s", files[i]), 0);
                f = open_source(path);
                ck_assert_uint_gt(check_stream(path, f, 0), 0);
                (void) fclose(f);
        }

        for (WireVerb verb = 0; verb < _WIRE_VERB_MAX; verb++) {
                const char *name = wire_verb_to_string(verb);
                unsigned missing = wire_schema(verb)->directions & ~verb_directions[verb];

                ck_assert_msg(verb_seen[verb], "%s: no vector", name);
                ck_assert_msg(verb_refused[verb], "%s: no vector that is refused", name);
                ck_assert_msg(!missing, "%s: no vector for \"%s\"", name,
                              wire_direction_to_string((WireDirection) (missing & -missing)));
        }
        for (WireError code = 0; code < _WIRE_ERROR_MAX; code++)
                ck_assert_msg(code_sent[code], "%s: no ERROR vector", wire_error_to_string(code));

        /* All that the decoder itself finds wrong. */
        ck_assert(code_refused[WIRE_ERROR_BAD_MESSAGE]);
        ck_assert(code_refused[WIRE_ERROR_UNSUPPORTED_VERSION]);
        ck_assert(code_refused[WIRE_ERROR_UNKNOWN_VERB]);
        ck_assert(code_refused[WIRE_ERROR_TOO_LARGE]);
}
END_TEST

/* --- doc/protocol.md -------------------------------------------------------------------------------- */

/* The text of cell `n` (from 0) of a table's row "| a | b |", without the spaces around it; a fresh string
 * or NULL. */
static char *cell(const char *row, size_t n) {
        const char *end;

        for (size_t i = 0; i <= n; i++) {
                row = strchr(row, '|');
                if (!row)
                        return NULL;
                row++;
        }
        end = strchr(row, '|');
        if (!end)
                return NULL;
        while (*row == ' ')
                row++;
        while (end > row && end[-1] == ' ')
                end--;
        return strndup(row, (size_t) (end - row));
}

/* "`NAME`" -> "NAME" */
static char *unquote(const char *s) {
        size_t n = strlen(s);

        return n > 2 && s[0] == '`' && s[n - 1] == '`' ? strndup(s + 1, n - 2) : NULL;
}

/* How many things in backquotes. */
static size_t count_quoted(const char *s) {
        size_t n = 0;

        for (; *s; s++)
                n += *s == '`';
        return n / 2;
}

/* The letters of who may send it: C a client, W a subworker, c and w controld to these, D and S whoever
 * asks at the discovery endpoint and at a subworker's own. */
static unsigned parse_directions(const char *s) {
        static const struct {
                const char *text;
                unsigned directions;
        } table[] = {
                { "client → controld", WIRE_CLIENT_TO_CONTROLD },
                { "controld → client", WIRE_CONTROLD_TO_CLIENT },
                { "worker → controld", WIRE_WORKER_TO_CONTROLD },
                { "controld → worker", WIRE_CONTROLD_TO_WORKER },
                { "anyone → discovery", WIRE_ANYONE_TO_DISCOVERY },
                { "anyone → subworker", WIRE_ANYONE_TO_WORKER },
        };
        unsigned directions = 0;

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (strstr(s, table[i].text))
                        directions |= table[i].directions;
        return directions;
}

static void check_verb_row(const char *row, WireVerb verb) {
        _cleanup_free_ char *directions = cell(row, 1), *fields = cell(row, 2),
                            *group = cell(row, 3);
        const WireSchema *s = wire_schema(verb);

        ck_assert_msg(directions && fields && group, "protocol.md: %s: cells are missing", s->name);
        ck_assert_msg(parse_directions(directions) == s->directions,
                      "protocol.md: %s: directions differ", s->name);
        ck_assert_msg(count_quoted(fields) == strlen(s->fields), "protocol.md: %s: fields differ",
                      s->name);
        ck_assert_msg(count_quoted(group) == strlen(s->group), "protocol.md: %s: groups differ",
                      s->name);
}

START_TEST(test_document_tables) {
        enum { NOWHERE, VERBS, CODES } table = NOWHERE;
        bool verbs[_WIRE_VERB_MAX] = {}, codes[_WIRE_ERROR_MAX] = {};
        FILE *f = open_source("doc/protocol.md");
        _cleanup_free_ char *line = NULL;
        size_t size = 0;

        while (getline(&line, &size, f) >= 0) {
                _cleanup_free_ char *first = NULL, *name = NULL;

                if (line[0] == '#')
                        table = strstr(line, "Table of verbs") ? VERBS
                                : strstr(line, "Error codes")  ? CODES
                                                               : NOWHERE;
                if (table == NOWHERE || line[0] != '|')
                        continue;
                first = cell(line, 0);
                name = first ? unquote(first) : NULL;
                if (!name)
                        continue; /* the head of the table */

                if (table == VERBS) {
                        WireVerb verb = wire_verb_from_string(name);

                        ck_assert_msg((int) verb >= 0, "protocol.md: there is no verb %s", name);
                        ck_assert_msg(!verbs[verb], "protocol.md: %s stands there twice", name);
                        verbs[verb] = true;
                        check_verb_row(line, verb);
                } else {
                        WireError code = wire_error_from_string(name);

                        ck_assert_msg((int) code >= 0, "protocol.md: there is no code %s", name);
                        ck_assert_msg(!codes[code], "protocol.md: %s stands there twice", name);
                        codes[code] = true;
                }
        }
        (void) fclose(f);

        for (WireVerb v = 0; v < _WIRE_VERB_MAX; v++)
                ck_assert_msg(verbs[v], "protocol.md: the table lacks %s", wire_verb_to_string(v));
        for (WireError c = 0; c < _WIRE_ERROR_MAX; c++)
                ck_assert_msg(codes[c], "protocol.md: the table lacks %s", wire_error_to_string(c));
}
END_TEST

/* Each fenced block that begins with ```wire holds vectors. */
START_TEST(test_document_examples) {
        FILE *f = open_source("doc/protocol.md");
        _cleanup_free_ char *line = NULL, *block = NULL;
        size_t size = 0, block_size = 0;
        FILE *out = NULL;
        unsigned n_line = 0, n_begin = 0;

        memset(verb_seen, 0, sizeof(verb_seen));
        while (getline(&line, &size, f) >= 0) {
                n_line++;
                if (strncmp(line, "```wire", 7) == 0) {
                        n_begin = n_line;
                        out = open_memstream(&block, &block_size);
                        ck_assert_ptr_nonnull(out);
                } else if (out && strncmp(line, "```", 3) == 0) {
                        FILE *in;

                        ck_assert_int_eq(fclose(out), 0);
                        out = NULL;
                        in = fmemopen(block, block_size, "r");
                        ck_assert_ptr_nonnull(in);
                        ck_assert_uint_gt(check_stream("doc/protocol.md", in, n_begin), 0);
                        (void) fclose(in);
                        free(TAKE_PTR(block));
                } else if (out)
                        ck_assert_int_ge(fputs(line, out), 0);
        }
        ck_assert_ptr_null(out);
        (void) fclose(f);

        for (WireVerb v = 0; v < _WIRE_VERB_MAX; v++)
                ck_assert_msg(verb_seen[v], "protocol.md: no example of %s",
                              wire_verb_to_string(v));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("wire_vectors");
        TCase *t = tcase_create("all");
        SRunner *runner;
        int failed;

        tcase_set_timeout(t, 60);
        tcase_add_test(t, test_vectors);
        tcase_add_test(t, test_document_tables);
        tcase_add_test(t, test_document_examples);
        suite_add_tcase(suite, t);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_ENV);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
