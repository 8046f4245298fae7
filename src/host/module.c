/* SPDX-License-Identifier: Apache-2.0 */
/* Finds and loads modules, and what else lies beside the program. */
#include "host/module.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int isgi_beside_program(char *dst, size_t size, const char *relative)
{
    const ssize_t n = readlink("/proc/self/exe", dst, size - 1);
    char *slash;
    size_t room;
    if (n <= 0) return 0;
    dst[n] = '\0';
    slash = strrchr(dst, '/');
    if (!slash) return 0;
    room = size - (size_t)(slash + 1 - dst);
    return (size_t)snprintf(slash + 1, room, "%s", relative) < room;
}

void *isgi_module_symbol(const char *file, const char *symbol)
{
    static const char *const folders[] = {"", "../lib/insitu/"};
    char path[4096], relative[256];
    void *module = NULL;
    for (int i = 0; !module && i < 2; i++) {
        if ((size_t)snprintf(relative, sizeof relative, "%s%s", folders[i], file) >= sizeof relative) continue;
        /* global: the plug-ins of MPI look for the symbols of MPI */
        if (isgi_beside_program(path, sizeof path, relative)) module = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    }
    if (!module && (size_t)snprintf(path, sizeof path, "%s/%s", INSITU_MODULES_INSTALLED, file) < sizeof path) {
        module = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    }
    return module ? dlsym(module, symbol) : NULL;
}
