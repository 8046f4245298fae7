/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel table: reference first, then each instruction set overwrites what it has. */
#include "kernels/kernels.h"
#include "kernels/ref/ref.h"

void isgk_table_init(isgk_table *table, uint32_t isa)
{
    (void)isa;
    table->gemm_f32 = isgk_gemm_f32__ref;
    table->unpack_affine = isgk_unpack_affine__ref;
}
