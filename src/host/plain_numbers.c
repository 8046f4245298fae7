/* SPDX-License-Identifier: Apache-2.0 */
/* The locale of one thread for the time of a call: a host's own stays as it is. */
#include "host/plain_numbers.h"

#include <locale.h>

void isgi_plain_numbers_begin(isgi_plain_numbers *n)
{
    const locale_t current = uselocale((locale_t)0), copy = duplocale(current);
    locale_t plain = copy ? newlocale(LC_NUMERIC_MASK, "C", copy) : (locale_t)0;
    if (copy && !plain) freelocale(copy);
    n->plain = plain;
    n->before = plain ? uselocale(plain) : (locale_t)0;
}

void isgi_plain_numbers_end(isgi_plain_numbers *n)
{
    if (!n->plain) return;
    uselocale(n->before);
    freelocale(n->plain);
    n->plain = 0;
}
