/* SPDX-License-Identifier: MIT */

/* fastworker: the command line. */

#include <fcntl.h>
#include <locale.h>

#include "cli.h"

/* A descriptor that is closed would be given to the next socket, and a message for people would go there. One
 * that cannot be written to says so instead. */
static int fill_standard_descriptors(void) {
        int fd;

        do {
                fd = open("/dev/null", O_RDONLY);
                if (fd < 0)
                        return -errno;
        } while (fd <= STDERR_FILENO);
        safe_close(fd);
        return 0;
}

int main(int argc, char *argv[]) {
        int status;

        if (fill_standard_descriptors() < 0)
                return CLI_TROUBLE;
        (void) setlocale(LC_CTYPE, "");
        status = run_verb(argc, argv);

        errno = 0;
        if (fflush(stdout) != 0 || ferror(stdout)) {
                complain(CLI_TROUBLE, "cannot write the output: %s",
                         errno != 0 ? strerror(errno) : "an earlier write failed");
                return status == CLI_SUCCESS ? CLI_TROUBLE : status;
        }
        return status;
}
