/* SPDX-License-Identifier: MIT */

/* Runs a fuzz target over files, or over each file of directories, where libFuzzer is not there to do it.
 * Without arguments the directories are those in FUZZ_CORPUS. */

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

static unsigned n_files;

static int run_file(const char *path) {
        FILE *f = fopen(path, "re");
        struct stat st;
        uint8_t *data;
        size_t n;

        if (!f || fstat(fileno(f), &st) < 0) {
                fprintf(stderr, "%s: %s\n", path, strerror(errno));
                return -errno;
        }
        /* Exactly as long as the file, so that a sanitizer sees a read past its end. */
        data = malloc((size_t) st.st_size);
        if (!data && st.st_size > 0) {
                fprintf(stderr, "%s: out of memory\n", path);
                return -ENOMEM;
        }
        n = fread(data, 1, (size_t) st.st_size, f);
        (void) fclose(f);
        if (n != (size_t) st.st_size) {
                fprintf(stderr, "%s: could not be read\n", path);
                free(data);
                return -EIO;
        }
        (void) LLVMFuzzerTestOneInput(data, n);
        free(data);
        n_files++;
        return 0;
}

static int run_directory(const char *path) {
        DIR *d = opendir(path);
        struct dirent *e;
        int r = 0;

        if (!d) {
                r = -errno;
                fprintf(stderr, "%s: %s\n", path, strerror(errno));
                return r;
        }
        while (r >= 0 && (e = readdir(d))) {
                char *file;

                if (e->d_name[0] == '.')
                        continue;
                if (asprintf(&file, "%s/%s", path, e->d_name) < 0) {
                        r = -ENOMEM;
                        break;
                }
                r = run_file(file);
                free(file);
        }
        (void) closedir(d);
        return r;
}

static int run(const char *path) {
        struct stat st;

        if (stat(path, &st) < 0) {
                fprintf(stderr, "%s: %s\n", path, strerror(errno));
                return -errno;
        }
        return S_ISDIR(st.st_mode) ? run_directory(path) : run_file(path);
}

int main(int argc, char *argv[]) {
        const char *corpus = getenv("FUZZ_CORPUS");
        int r = 0;

        for (int i = 1; i < argc && r >= 0; i++)
                r = run(argv[i]);
        if (argc < 2)
                r = run(corpus ? corpus : FUZZ_CORPUS_DEFAULT);
        if (r >= 0 && n_files == 0) {
                fprintf(stderr, "No input files.\n");
                r = -ENOENT;
        }
        if (r >= 0)
                printf("%u inputs\n", n_files);
        return r >= 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
