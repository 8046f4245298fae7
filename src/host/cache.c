/* SPDX-License-Identifier: Apache-2.0 */
/* The folder for results that only this machine needs, and the description of its CPU. */
#include "host/cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

char *isgi_cpu_description(char *dst, size_t size, const char *path)
{
    static const char *const keys[] = {"model name", "cpu family",      "model",       "stepping",
                                       "vendor_id",  "CPU implementer", "CPU variant", "CPU part"};
    char line[512];
    size_t n = 0;
    FILE *f = fopen(path, "r");
    dst[0] = '\0';
    while (f && fgets(line, sizeof line, f) && line[0] != '\n') {
        const char *colon = strchr(line, ':');
        const size_t length = strcspn(line, "\t:");
        for (size_t i = 0; colon && i < sizeof keys / sizeof keys[0]; i++) {
            const size_t text = strcspn(colon + 1, "\n");
            if (strlen(keys[i]) != length || memcmp(line, keys[i], length) != 0 || n + text + 1 >= size) continue;
            memcpy(dst + n, colon + 1, text);
            n += text;
            dst[n] = '\0';
        }
    }
    if (f) fclose(f);
    if (!n) snprintf(dst, size, "unknown");
    return dst;
}

int isgi_cache_path(char *dst, size_t size, const char *name, int make)
{
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = 0;
    if (base && base[0] == '/')
        n = snprintf(dst, size, "%s", base);
    else if (home && home[0] == '/')
        n = snprintf(dst, size, "%s/.cache", home);
    if (n <= 0 || (size_t)n >= size) return 0;
    if (make) (void)mkdir(dst, 0700);
    n += snprintf(dst + n, size - (size_t)n, "/insitu");
    if ((size_t)n >= size) return 0;
    if (make) (void)mkdir(dst, 0700); /* where it fails, writing the file will tell */
    n += snprintf(dst + n, size - (size_t)n, "/%s", name);
    return (size_t)n < size;
}
