/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of test names kept in the tree. */
#include "suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *read_text(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text = NULL;
    long size;
    if (!f) return NULL;
    if (fseek(f, 0, SEEK_END) == 0 && (size = ftell(f)) >= 0 && fseek(f, 0, SEEK_SET) == 0) {
        text = malloc((size_t)size + 1);
        if (text) {
            const size_t got = fread(text, 1, (size_t)size, f);
            text[got] = '\0';
        }
    }
    fclose(f);
    return text;
}

int suite_list_read(suite_list *list, const char *path)
{
    char *line;
    memset(list, 0, sizeof *list);
    list->text = read_text(path);
    list->names = list->text ? malloc((strlen(list->text) + 1) * sizeof *list->names) : NULL;
    if (!list->names) {
        fprintf(stderr, "insitu-onnx-suite: cannot read %s\n", path);
        suite_list_free(list);
        return 0;
    }
    for (line = list->text; line;) {
        char *next = strchr(line, '\n');
        if (next) *next++ = '\0';
        line[strcspn(line, "# \t\r")] = '\0';
        if (*line) list->names[list->count++] = line;
        line = next;
    }
    return 1;
}

int suite_list_has(const suite_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->names[i], name) == 0) return 1;
    return 0;
}

void suite_list_free(suite_list *list)
{
    free(list->names);
    free(list->text);
    memset(list, 0, sizeof *list);
}
