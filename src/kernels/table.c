/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel table: reference first, then each instruction set overwrites what it has. */
#include <insitu/rt.h>

#include "kernels/kernels.h"

void isgk_table_init(isgk_table *table, uint32_t isa)
{
#define ISGK(op, name, bit)                                                                                            \
    if ((isa & (uint32_t)(bit)) == (uint32_t)(bit)) table->op = isgk_##op##__##name;
#include "kernels/kernels.def"
}
