/* SPDX-License-Identifier: Apache-2.0 */
/* C text being written: templates with the names of one network, literals, tables of bytes. */
#ifndef INSITU_PACK_C_TEXT_H
#define INSITU_PACK_C_TEXT_H

#include <insitu/status.h>
#include <stddef.h>
#include <stdint.h>

#include "host/buffer.h"

#define ISGI_C_PREFIX 64 /* bytes of a prefix with its end */

/* After the first failure nothing more is written and `status` stays. Numbers want isgi_plain_numbers_begin(). */
typedef struct isgi_c_text {
    isgi_buffer text;
    isg_status status;
    isg_error *err;
    char prefix[ISGI_C_PREFIX], upper[ISGI_C_PREFIX];
} isgi_c_text;

/* `prefix` is shorter than ISGI_C_PREFIX; no text becomes longer than `maximum` bytes (LIMIT). */
void isgi_c_text_init(isgi_c_text *t, const char *prefix, size_t maximum, isg_error *err);
/* Text of ours, with the prefix for every @ and the same in capitals for every $. */
void isgi_c_text_put(isgi_c_text *t, const char *text);
/* The same after formatting, of 511 bytes at most. A %s takes text of ours only. */
void isgi_c_text_format(isgi_c_text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Anything as a string literal. */
void isgi_c_text_string(isgi_c_text *t, const char *s, size_t bytes);
/* Anything inside a comment, at most `most` characters of it: what could end the comment or its line becomes a dot. */
void isgi_c_text_comment(isgi_c_text *t, const char *s, size_t most);
/* A finite number as a literal of type float that reads back as the same bits. */
void isgi_c_text_float(isgi_c_text *t, float value);
/* Decimal bytes in lines of at most 120 columns, each ending in a comma. */
void isgi_c_text_bytes(isgi_c_text *t, const uint8_t *data, size_t bytes);
/* Hands the text over, with a NUL behind it (free with isg_free()), or frees it where something failed. */
ISG_NODISCARD isg_status isgi_c_text_take(isgi_c_text *t, char **text, size_t *bytes);

#endif
