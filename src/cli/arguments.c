/* SPDX-License-Identifier: MIT */

/* {"args":[...],"kwargs":{...}} from words of a command line. What is JSON already stays as it was written:
 * 1.10 does not become 1.1. */

#include "cli.h"
#include "json-util.h"

static int put_word(FILE *f, const char *word) {
        _cleanup_json_ struct json_object *o = NULL;
        size_t size = strlen(word);

        if (json_parse(word, size, &o, NULL) >= 0) {
                fputs(word, f);
                return 0;
        }
        o = json_object_new_string(word);
        if (!o)
                return -ENOMEM;
        fputs(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
                                                        JSON_C_TO_STRING_NOSLASHESCAPE),
              f);
        return 0;
}

static int check_kwargs(const char *kwargs) {
        _cleanup_json_ struct json_object *o = NULL;
        const char *why;

        if (json_parse_object(kwargs, strlen(kwargs), &o, &why) < 0)
                return complain(CLI_USAGE,
                                "--kwargs: \"%.200s\" is not a JSON object like {\"key\": 1}: %s",
                                kwargs, why);
        return 0;
}

/* Bytes that are not UTF-8 cannot stand in JSON, and nobody could tell what the task would get instead. */
static int check_words(const Words *args) {
        for (size_t i = 0; i < args->n; i++) {
                const char *word = args->words[i];

                if (!is_utf8(word))
                        return complain(CLI_USAGE, "--args: \"%s\" is not UTF-8", word);
        }
        return 0;
}

int make_arguments(const Words *args, const char *kwargs, char **ret) {
        char *text = NULL;
        size_t size = 0;
        FILE *f;
        int r;

        r = check_words(args);
        if (r == 0 && kwargs)
                r = check_kwargs(kwargs);
        if (r != 0)
                return r;

        f = open_memstream(&text, &size);
        if (!f)
                return complain_oom();
        fputs("{\"args\":[", f);
        for (size_t i = 0; i < args->n && r == 0; i++) {
                if (i > 0)
                        fputc(',', f);
                r = put_word(f, args->words[i]);
        }
        fprintf(f, "],\"kwargs\":%s}", isempty(kwargs) ? "{}" : kwargs);
        if (fclose(f) != 0 || r < 0) {
                free(text);
                return complain_oom();
        }
        *ret = text;
        return 0;
}
