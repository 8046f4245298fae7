/* SPDX-License-Identifier: Apache-2.0 */
/* Which numbers of a tensor are kept when the smallest in magnitude are dropped. */
#ifndef INSITU_METHODS_LARGEST_H
#define INSITU_METHODS_LARGEST_H

#include <stddef.h>
#include <stdint.h>

/* How many of `count` numbers stay when a part `sparsity` (0..0.99) of them, rounded down, goes. */
size_t isgi_largest_count(size_t count, double sparsity);
/* kept[i] becomes 1 for the `keep` (at most count) numbers of largest magnitude, of equal ones the first; else 0. */
void isgi_largest_mark(const float *w, size_t count, size_t keep, uint8_t *kept);

#endif
