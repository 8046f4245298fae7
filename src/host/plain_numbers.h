/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers in text with a decimal point, whatever locale the program has set. */
#ifndef INSITU_HOST_PLAIN_NUMBERS_H
#define INSITU_HOST_PLAIN_NUMBERS_H

typedef struct isgi_plain_numbers {
    void *plain, *before; /* locale_t; plain NULL: there was no memory for it, nothing changed */
} isgi_plain_numbers;

/* From here to isgi_plain_numbers_end() this thread's strtod(), printf() and kin use the point. They nest. */
void isgi_plain_numbers_begin(isgi_plain_numbers *n);
void isgi_plain_numbers_end(isgi_plain_numbers *n);

#endif
