/* SPDX-License-Identifier: MIT */

#include <sys/stat.h>

#include "json-util.h"
#include "locate.h"
#include "parse-util.h"

/* The smaller, the better. */
static int rank(const Address *a, const Address *asked) {
        struct stat st;

        if (a->is_tcp == asked->is_tcp)
                return 0;
        if (!a->is_tcp)
                return stat(a->path, &st) >= 0 && S_ISSOCK(st.st_mode) ? 1 : -ENOENT;
        return 2;
}

/* An address to listen on everywhere is reached on the host where we asked. */
static void fill_in_host(Address *a, const Address *asked) {
        if (!address_is_wildcard(a))
                return;
        if (asked->is_tcp)
                memcpy(a->host, asked->host, sizeof(a->host));
        else
                strcpy(a->host, "127.0.0.1");
}

static bool choose(struct json_object *list, const Address *asked, Address *ret) {
        int best = -ENOENT;

        for (size_t i = 0; i < json_object_array_length(list); i++) {
                struct json_object *o = json_object_array_get_idx(list, i);
                Address a;
                int n;

                if (!json_object_is_type(o, json_type_string) ||
                    address_parse(json_object_get_string(o), &a) < 0 || (a.is_tcp && a.port == 0))
                        continue;
                n = rank(&a, asked);
                if (n < 0 || (best >= 0 && n >= best))
                        continue;
                fill_in_host(&a, asked);
                *ret = a;
                best = n;
        }
        return best >= 0;
}

int locate_worker_address(const char *info, size_t size, const char *asked, char **ret) {
        _cleanup_json_ struct json_object *o = NULL;
        struct json_object *list = NULL;
        Address a, from;
        char *text;
        int r;

        r = address_parse(asked, &from);
        if (r < 0)
                return r;
        r = json_parse_object(info, size, &o, NULL);
        if (r < 0)
                return r;
        r = json_get_array(o, "worker", &list);
        if (r < 0)
                return -EBADMSG;
        if (r == 0 || !choose(list, &from, &a))
                return -ENOENT;
        text = address_to_string(&a);
        if (!text)
                return -ENOMEM;
        *ret = text;
        return 0;
}
