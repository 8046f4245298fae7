/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel table: reference first, then each instruction set overwrites what it has. */
#include <insitu/rt.h>

#include <float.h>

#include "kernels/kernels.h"

/* docs/numerics.md promises bits: float is IEEE binary32 and is computed as such (i686 needs -msse2 -mfpmath=sse). */
_Static_assert(FLT_EVAL_METHOD == 0, "float must not be computed in a wider type");
_Static_assert(FLT_RADIX == 2 && FLT_MANT_DIG == 24 && FLT_MAX_EXP == 128, "float must be IEEE binary32");

void isgk_table_init(isgk_table *table, uint32_t isa)
{
#define ISGK(op, name, bit)                                                                                            \
    if ((isa & (uint32_t)(bit)) == (uint32_t)(bit)) table->op = isgk_##op##__##name;
#include "kernels/kernels.def"
}
