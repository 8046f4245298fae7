/* SPDX-License-Identifier: Apache-2.0 */
/* Replays files and folders through a fuzz target, so that every past crash is a test that needs no fuzzing engine. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = NULL;
    long size;
    int ok = 0;
    if (!f) return 0;
    if (fseek(f, 0, SEEK_END) == 0 && (size = ftell(f)) >= 0 && fseek(f, 0, SEEK_SET) == 0) {
        /* An exact-size block, so that the address sanitizer sees the first byte too many. */
        data = malloc(size ? (size_t)size : 1);
        if (data && fread(data, 1, (size_t)size, f) == (size_t)size) {
            LLVMFuzzerTestOneInput(data, (size_t)size);
            ok = 1;
        }
    }
    free(data);
    fclose(f);
    return ok;
}

static int replay_path(const char *path, unsigned *count)
{
    struct stat st;
    struct dirent *entry;
    DIR *folder;
    int ok = 1;
    if (stat(path, &st) != 0) return 0;
    if (!S_ISDIR(st.st_mode)) {
        ++*count;
        return replay_file(path);
    }
    folder = opendir(path);
    if (!folder) return 0;
    while ((entry = readdir(folder)) != NULL) {
        char child[4096];
        if (entry->d_name[0] == '.') continue;
        snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        if (!replay_path(child, count)) {
            fprintf(stderr, "cannot replay %s\n", child);
            ok = 0;
        }
    }
    closedir(folder);
    return ok;
}

int main(int argc, char **argv)
{
    unsigned count = 0;
    int ok = 1;
    for (int i = 1; i < argc; i++) ok &= replay_path(argv[i], &count);
    printf("replayed %u files\n", count);
    return ok ? 0 : 1;
}
