/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of its own for a test program: made before its tests, removed with all it holds after them. */
#ifndef INSITU_TESTS_TEMP_FOLDER_H
#define INSITU_TESTS_TEMP_FOLDER_H

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[PATH_MAX];

static const char *in_folder(const char *name)
{
    static char path[8][PATH_MAX];
    static unsigned turn;
    char *p = path[turn++ % 8];
    snprintf(p, PATH_MAX, "%.3000s/%.500s", folder, name);
    return p;
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/insitu-test-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *info, int flag, struct FTW *walk)
{
    (void)info;
    (void)flag;
    (void)walk;
    return remove(path);
}

static int clean_folder(void **state)
{
    (void)state;
    return nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
