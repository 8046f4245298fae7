/* SPDX-License-Identifier: Apache-2.0 */
/* Finds and loads modules. */
#include "host/module.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void *isgi_module_symbol(const char *file, const char *symbol)
{
    char path[4096];
    const ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    void *module = NULL;
    char *slash;
    if (n > 0) {
        path[n] = '\0';
        slash = strrchr(path, '/');
        if (slash) {
            const size_t room = sizeof path - (size_t)(slash + 1 - path);
            /* global: the plug-ins of MPI look for the symbols of MPI */
            if ((size_t)snprintf(slash + 1, room, "%s", file) < room) module = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
        }
    }
    if (!module && (size_t)snprintf(path, sizeof path, "%s/%s", INSITU_MODULES_INSTALLED, file) < sizeof path) {
        module = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    }
    return module ? dlsym(module, symbol) : NULL;
}
