/* SPDX-License-Identifier: MIT */

/* fastworker ping */

#include "cli.h"
#include "json-util.h"

static const Usage usage = {
        .verb = "ping",
        .synopsis = "[OPTION...]",
        .text = "Waits until the coordinator answers, at most --timeout (FASTWORKER_TIMEOUT, else 5 s), and tells\n"
                "which one that was.",
};

static int show(fastworker_client *c, uint64_t usec) {
        _cleanup_json_ struct json_object *server = NULL, *o = NULL;
        const char *greeting = fastworker_client_get_server(c);

        if (json_parse_object(greeting, strlen(greeting), &server, NULL) < 0)
                return complain(CLI_TROUBLE, "the coordinator's greeting is not JSON");
        if (arg_json == JSON_OFF) {
                printf("%s, version %s, at %s answers in %.3f ms.\n", text_of(server, "worker_id"),
                       text_of(server, "version"), fastworker_client_get_address(c),
                       (double) usec / 1000);
                return CLI_SUCCESS;
        }
        o = json_object_new_object();
        if (!o || json_add_string(o, "address", fastworker_client_get_address(c)) < 0 ||
            json_add_uint(o, "round_trip_usec", usec) < 0)
                return complain_oom();
        json_object_object_foreach(server, key, value)
                if (json_object_object_add(o, key, json_object_get(value)) < 0)
                        return complain_oom();
        return print_json(o);
}

int verb_ping(int argc, char *argv[]) {
        _cleanup_client_ fastworker_client *c = NULL;
        uint64_t usec;
        int r;

        r = parse_options(&usage, argc, argv);
        if (r <= 0)
                return r < 0 ? CLI_USAGE : CLI_SUCCESS;
        r = session_open(TIMEOUT_QUESTION_USEC, &c);
        if (r != 0)
                return r;
        r = fastworker_ping(c, &usec);
        return r < 0 ? session_failed(c, r) : show(c, usec);
}
