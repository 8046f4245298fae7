/* SPDX-License-Identifier: Apache-2.0 */
/* The three terms of the orthonormality loss, apart. */
#ifndef INSITU_QUANT_ORTHO_H
#define INSITU_QUANT_ORTHO_H

#include <insitu/factors.h>

#define ISGI_ORTHO_BASIS 1u
#define ISGI_ORTHO_U 2u
#define ISGI_ORTHO_V 4u

/* isg_factors_ortho() for the terms in `parts`; NaN when memory runs out. The released code takes only the V term of a
 * linear layer (SPEC section 5). */
double isgi_ortho_terms(const isg_factors *f, unsigned parts, double weight, float *db, float *du, float *dv);

#endif
