/* SPDX-License-Identifier: Apache-2.0 */
/* insitu-onnx-suite [--expect FILE] [--reasons FILE] [--list] [--verbose] DIR...: walks folders of ONNX node tests. */
#include "suite.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct suite_cases {
    suite_case *items;
    size_t count, capacity;
    int verbose;
} suite_cases;

static int is_file(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int by_group(const void *a, const void *b)
{
    return strcmp(((const suite_case *)a)->group, ((const suite_case *)b)->group);
}

/* The last two components of a resolved path. */
static void case_name(char *name, size_t size, const char *path)
{
    const char *end = strrchr(path, '/');
    while (end && end > path && end[-1] != '/') end--;
    snprintf(name, size, "%.250s", end ? end : path);
}

static suite_case *append_case(suite_cases *all)
{
    if (all->count == all->capacity) {
        const size_t capacity = all->capacity ? all->capacity * 2 : 64;
        suite_case *items = realloc(all->items, capacity * sizeof *items);
        if (!items) exit(2);
        all->items = items;
        all->capacity = capacity;
    }
    memset(&all->items[all->count], 0, sizeof *all->items);
    return &all->items[all->count++];
}

/* Sorted names of the sub-folders, so that the output does not depend on the file system. */
static char **list_folders(const char *path, size_t *count)
{
    DIR *d = opendir(path);
    struct dirent *entry;
    char **names = NULL;
    *count = 0;
    if (!d) return NULL;
    while ((entry = readdir(d))) {
        char **grown;
        if (entry->d_name[0] == '.') continue;
        grown = realloc(names, (*count + 1) * sizeof *names);
        if (!grown) exit(2);
        names = grown;
        names[*count] = strdup(entry->d_name);
        if (!names[(*count)++]) exit(2);
    }
    closedir(d);
    if (names) qsort(names, *count, sizeof *names, by_text);
    return names;
}

static void walk(suite_cases *all, const char *path, int depth)
{
    char child[8192];
    size_t count;
    char **names;
    if (strlen(path) + 300 > sizeof child) return;
    snprintf(child, sizeof child, "%s/model.onnx", path);
    if (is_file(child)) {
        suite_case *c = append_case(all);
        case_name(c->name, sizeof c->name, path);
        suite_run_case(c, path);
        if (all->verbose && c->verdict != SUITE_PASSED)
            printf("%s %s: %s\n", c->verdict == SUITE_FAILED ? "FAILED" : "skipped", c->name, c->reason);
        return;
    }
    if (depth == 0) return;
    names = list_folders(path, &count);
    for (size_t i = 0; i < count; i++) {
        snprintf(child, sizeof child, "%s/%.255s", path, names[i]);
        walk(all, child, depth - 1);
        free(names[i]);
    }
    free(names);
}

/* Both directions: a listed test must pass, an unlisted one must not. Returns the number of differences. */
static size_t check_expected(const suite_cases *all, const suite_list *expected)
{
    size_t wrong = 0;
    for (size_t i = 0; i < all->count; i++) {
        const suite_case *c = &all->items[i];
        const int listed = suite_list_has(expected, c->name);
        if (listed == (c->verdict == SUITE_PASSED)) continue;
        printf("%s %s%s%s\n", listed ? "expected to pass:" : "passes but is not listed:", c->name, listed ? ": " : "",
               listed ? c->reason : "");
        wrong++;
    }
    for (size_t i = 0; i < expected->count; i++) {
        size_t k = 0;
        while (k < all->count && strcmp(all->items[k].name, expected->names[i]) != 0) k++;
        if (k < all->count) continue;
        printf("listed but not found: %s\n", expected->names[i]);
        wrong++;
    }
    return wrong;
}

/* Whatever does not pass although all its operators are ours needs a line that says why. */
static size_t check_reasons(const suite_cases *all, const suite_list *reasons)
{
    size_t wrong = 0;
    for (size_t i = 0; i < all->count; i++) {
        const suite_case *c = &all->items[i];
        const int listed = suite_list_has(reasons, c->name);
        if (c->verdict != SUITE_PASSED && !c->foreign && !listed) {
            printf("no reason given for %s: %s\n", c->name, c->reason);
            wrong++;
        }
        if (c->verdict == SUITE_PASSED && listed) {
            printf("passes but has a reason not to: %s\n", c->name);
            wrong++;
        }
    }
    return wrong;
}

static void print_skipped(suite_cases *all)
{
    qsort(all->items, all->count, sizeof *all->items, by_group);
    for (size_t i = 0, next; i < all->count; i = next) {
        size_t skipped = 0;
        for (next = i; next < all->count && by_group(&all->items[i], &all->items[next]) == 0; next++)
            skipped += all->items[next].verdict == SUITE_SKIPPED;
        if (skipped) printf("  skipped %4zu: %s\n", skipped, all->items[i].group);
    }
}

static size_t report(suite_cases *all, const char *expect, const char *reasons, int list_passed)
{
    size_t number[3] = {0, 0, 0}, wrong = 0, prepared = 0;
    suite_list names;
    for (size_t i = 0; i < all->count; i++) {
        const suite_case *c = &all->items[i];
        number[c->verdict]++;
        prepared += c->verdict == SUITE_PASSED && c->prepared;
        if (list_passed && c->verdict == SUITE_PASSED) printf("%s\n", c->name);
        if (c->verdict == SUITE_FAILED && !all->verbose && !list_passed) printf("FAILED %s: %s\n", c->name, c->reason);
    }
    if (list_passed) return number[SUITE_FAILED];
    if (expect) {
        if (!suite_list_read(&names, expect)) return 1;
        wrong += check_expected(all, &names);
        suite_list_free(&names);
    }
    if (reasons) {
        if (!suite_list_read(&names, reasons)) return 1;
        wrong += check_reasons(all, &names);
        suite_list_free(&names);
    }
    print_skipped(all);
    printf("  of those that passed, %zu ran prepared as well\n", prepared);
    printf("%zu passed, %zu failed, %zu skipped\n", number[SUITE_PASSED], number[SUITE_FAILED], number[SUITE_SKIPPED]);
    /* With a list, the list decides: a known failure is one that is not listed and has its reason. */
    return expect || reasons ? wrong : number[SUITE_FAILED];
}

int main(int argc, char **argv)
{
    const char *expect = NULL, *reasons = NULL;
    suite_cases all = {NULL, 0, 0, 0};
    int list_passed = 0, folders = 0;
    size_t wrong;
    for (int i = 1; i < argc; i++) {
        char *path;
        if (strcmp(argv[i], "--expect") == 0 && i + 1 < argc) {
            expect = argv[++i];
        } else if (strcmp(argv[i], "--reasons") == 0 && i + 1 < argc) {
            reasons = argv[++i];
        } else if (strcmp(argv[i], "--list") == 0) {
            list_passed = 1;
        } else if (strcmp(argv[i], "--verbose") == 0) {
            all.verbose = 1;
        } else if ((path = realpath(argv[i], NULL))) {
            folders++;
            walk(&all, path, 2);
            free(path);
        } else {
            fprintf(stderr, "insitu-onnx-suite: no folder %s\n", argv[i]);
            return 2;
        }
    }
    if (!folders) {
        fprintf(stderr, "usage: insitu-onnx-suite [--expect FILE] [--reasons FILE] [--list] [--verbose] DIR...\n");
        return 2;
    }
    wrong = report(&all, expect, reasons, list_passed);
    free(all.items);
    return wrong != 0;
}
