/* SPDX-License-Identifier: MIT */

/* fastworker discover */

#include "cli.h"
#include "json-util.h"

static const Usage usage = {
        .verb = "discover",
        .synopsis = "[--discovery-address ADDRESS] [OPTION...]",
        .text = "Asks at the discovery address (FASTWORKER_DISCOVERY_ADDRESS, else tcp://127.0.0.1:5550) which\n"
                "coordinator there is and where it listens.",
};

static int add_endpoints(Table *t, struct json_object *answer, const char *role) {
        struct json_object *addresses;

        if (json_get_array(answer, role, &addresses) <= 0)
                return 0;
        for (size_t i = 0; i < json_object_array_length(addresses); i++) {
                const char *address =
                        json_object_get_string(json_object_array_get_idx(addresses, i));

                if (table_add(t, (const char *const[]){ text_of(answer, "worker_id"), role,
                                                        address ?: "-",
                                                        text_of(answer, "version") }) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int show(struct json_object *answer) {
        static const Column columns[] = {
                { "COORDINATOR", COLUMN_TEXT },
                { "FOR", COLUMN_TEXT },
                { "ADDRESS", COLUMN_TEXT },
                { "VERSION", COLUMN_TEXT },
        };
        _cleanup_(table_freep) Table *t = table_new(columns, ELEMENTSOF(columns));

        if (!t || add_endpoints(t, answer, "client") < 0 || add_endpoints(t, answer, "worker") < 0)
                return complain_oom();
        return table_show(TAKE_PTR(t));
}

int verb_discover(int argc, char *argv[]) {
        _cleanup_client_ fastworker_client *c = NULL;
        _cleanup_json_ struct json_object *o = NULL;
        _cleanup_free_ char *text = NULL;
        uint64_t timeout;
        int r, status;

        r = parse_options(&usage, argc, argv);
        if (r <= 0)
                return r < 0 ? CLI_USAGE : CLI_SUCCESS;
        if (arg_address)
                return complain(
                        CLI_USAGE,
                        "--address has no use here: discovery is asked where the coordinator is");
        r = session_timeout(TIMEOUT_QUESTION_USEC, &timeout);
        if (r != 0)
                return r;
        r = fastworker_client_new(&c);
        if (r < 0)
                return complain(CLI_TROUBLE, "cannot make a client: %s", strerror(-r));
        r = fastworker_client_set_timeout(c, timeout);
        if (r >= 0)
                r = fastworker_discover(c, arg_discovery_address, &text);
        if (r < 0)
                return session_failed(c, r);
        return print_or_parse(text, &o, &status) == 0 ? status : show(o);
}
