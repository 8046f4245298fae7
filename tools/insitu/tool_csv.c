/* SPDX-License-Identifier: Apache-2.0 */
/* Tables as CSV, into a file that is replaced as a whole or to standard output. */
#include <stdlib.h>
#include <string.h>

#include "tool.h"

char *tool_csv_quoted(const char *s)
{
    const size_t room = 4 * strlen(s) + 1; /* a byte may become \xNN */
    char *shown = malloc(room), *quoted = malloc(2 * room + 2);
    size_t n = 0;
    if (shown && quoted) {
        tool_escape(shown, room, s, strlen(s));
        quoted[n++] = '"';
        for (const char *p = shown; *p; p++) {
            if (*p == '"') quoted[n++] = '"';
            quoted[n++] = *p;
        }
        quoted[n++] = '"';
        quoted[n] = '\0';
        free(shown);
        return quoted;
    }
    free(shown);
    free(quoted);
    return NULL;
}

void tool_csv_open(tool_csv *c, tool *t, const char *path, const char *head)
{
    memset(c, 0, sizeof *c);
    c->t = t;
    c->path = path;
    if (strcmp(path, "-") != 0) c->status = isg_writer_open(&c->file, path, &c->err);
    tool_csv_text(c, head);
}

void tool_csv_text(tool_csv *c, const char *text)
{
    if (c->status != ISG_OK) return;
    if (!text)
        c->status = ISG_E_NOMEM;
    else if (c->file)
        c->status = isg_writer_write(c->file, text, strlen(text), &c->err);
    else
        fputs(text, stdout);
}

int tool_csv_close(tool_csv *c)
{
    if (c->file && c->status == ISG_OK)
        c->status = isg_writer_commit(c->file, &c->err);
    else if (c->file)
        isg_writer_abort(c->file);
    return c->status == ISG_OK ? EXIT_OK : tool_error(c->t, c->path, c->status, &c->err);
}
