/* SPDX-License-Identifier: Apache-2.0 */
/* Writing C text into a buffer. */
#include "pack/c_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host/alloc.h"

#define LINE 120
#define INDENT 4

void isgi_c_text_init(isgi_c_text *t, const char *prefix, size_t maximum, isg_error *err)
{
    size_t i = 0;
    isgi_buffer_init(&t->text, maximum);
    t->status = ISG_OK;
    t->err = err;
    for (; prefix[i] && i + 1 < ISGI_C_PREFIX; i++) {
        t->prefix[i] = prefix[i];
        t->upper[i] = (char)(prefix[i] >= 'a' && prefix[i] <= 'z' ? prefix[i] - 'a' + 'A' : prefix[i]);
    }
    t->prefix[i] = t->upper[i] = '\0';
}

static void append(isgi_c_text *t, const char *s, size_t n)
{
    if (t->status == ISG_OK) t->status = isgi_buffer_append(&t->text, s, n, t->err);
}

void isgi_c_text_put(isgi_c_text *t, const char *text)
{
    while (*text) {
        const size_t n = strcspn(text, "@$");
        append(t, text, n);
        text += n;
        if (!*text) return;
        append(t, *text == '@' ? t->prefix : t->upper, strlen(t->prefix));
        text++;
    }
}

void isgi_c_text_format(isgi_c_text *t, const char *format, ...)
{
    char line[512];
    va_list args;
    int n;
    va_start(args, format);
    n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof line)
        isgi_c_text_put(t, line);
    else if (t->status == ISG_OK)
        t->status = isgi_fail(t->err, ISG_E_INTERNAL, "a line of C text is too long");
}

/* Octal escapes have three digits, so that no digit behind them belongs to them; ? could begin a trigraph. */
void isgi_c_text_string(isgi_c_text *t, const char *s, size_t bytes)
{
    append(t, "\"", 1);
    for (size_t i = 0; i < bytes; i++) {
        const unsigned char c = (unsigned char)s[i];
        char escape[5];
        int n;
        if (c == '"' || c == '\\' || c == '?')
            n = snprintf(escape, sizeof escape, "\\%c", c);
        else
            n = snprintf(escape, sizeof escape, c >= 32 && c < 127 ? "%c" : "\\%03o", c);
        append(t, escape, (size_t)n);
    }
    append(t, "\"", 1);
}

void isgi_c_text_comment(isgi_c_text *t, const char *s, size_t most)
{
    for (size_t i = 0; s[i] && i < most; i++) {
        const int plain = s[i] >= 32 && s[i] < 127 && !strchr("*\\?", s[i]);
        append(t, plain ? s + i : ".", 1);
    }
}

void isgi_c_text_float(isgi_c_text *t, float value)
{
    char digits[40];
    const int n = snprintf(digits, sizeof digits, "%.9g", (double)value);
    append(t, digits, (size_t)n);
    append(t, strpbrk(digits, ".e") ? "f" : ".0f", strpbrk(digits, ".e") ? 1 : 3);
}

void isgi_c_text_bytes(isgi_c_text *t, const uint8_t *data, size_t bytes)
{
    char line[LINE + 1] = "    ";
    size_t n = INDENT;
    for (size_t i = 0; i < bytes && t->status == ISG_OK; i++) {
        if (data[i] >= 100) line[n++] = (char)('0' + data[i] / 100);
        if (data[i] >= 10) line[n++] = (char)('0' + data[i] / 10 % 10);
        line[n++] = (char)('0' + data[i] % 10);
        line[n++] = ',';
        if (n + 4 <= LINE && i + 1 < bytes) continue;
        line[n++] = '\n';
        append(t, line, n);
        n = INDENT;
    }
}

isg_status isgi_c_text_take(isgi_c_text *t, char **text, size_t *bytes)
{
    append(t, "", 1);
    if (t->status != ISG_OK) {
        isgi_buffer_free(&t->text);
        return t->status;
    }
    *text = isgi_buffer_take(&t->text, bytes);
    --*bytes;
    return ISG_OK;
}
