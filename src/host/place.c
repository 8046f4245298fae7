/* SPDX-License-Identifier: Apache-2.0 */
/* Where a path leads: the end of a chain of links, an open descriptor, something that cannot be replaced. */
#define _GNU_SOURCE /* readlink */
#include "host/place.h"

#include "base/error.h"
#include "host/alloc.h"

#include <errno.h>
#include <insitu/host.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_LINKS 40 /* as many as Linux follows */

/* `target` as seen from the folder of `link`. */
static char *beside(const char *link, const char *target)
{
    const char *slash = strrchr(link, '/');
    const size_t folder = slash && *target != '/' ? (size_t)(slash - link) + 1 : 0, n = strlen(target);
    char *path = isgi_malloc(folder + n + 1);
    if (!path) return NULL;
    memcpy(path, link, folder);
    memcpy(path + folder, target, n + 1);
    return path;
}

isg_status isg_path_resolve(char **out, const char *path, isg_error *err)
{
    char *at = isgi_strdup(path), target[PATH_MAX];
    for (int i = 0; at && i <= MAX_LINKS; i++) {
        char *next;
        const ssize_t n = readlink(at, target, sizeof target - 1);
        if (n < 0) { /* no link, or nothing there: what opens it says more */
            *out = at;
            return ISG_OK;
        }
        target[n] = '\0';
        next = beside(at, target);
        isg_free(at);
        at = next;
    }
    *out = NULL;
    if (!at) return isgi_nomem(err);
    isg_free(at);
    errno = ELOOP;
    return isgi_fail_errno(err, path);
}

int isg_path_descriptor(const char *path)
{
    static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/"};
    if (!strcmp(path, "/dev/stdout")) return STDOUT_FILENO;
    if (!strcmp(path, "/dev/stderr")) return STDERR_FILENO;
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        const size_t n = strlen(folders[i]);
        char *end;
        long fd;
        if (strncmp(path, folders[i], n) != 0 || path[n] < '0' || path[n] > '9') continue;
        fd = strtol(path + n, &end, 10);
        if (*end == '\0' && fd <= INT_MAX) return (int)fd;
    }
    return -1;
}

int isgi_place_is_pipe(const char *path)
{
    struct stat info;
    return isg_path_descriptor(path) < 0 && stat(path, &info) == 0 &&
           (S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode));
}

int isgi_place_is_stream(const char *path)
{
    struct stat info;
    if (isg_path_descriptor(path) >= 0) return 1;
    return stat(path, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode);
}
