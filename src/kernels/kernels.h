/* SPDX-License-Identifier: Apache-2.0 */
/* Contracts of the compute kernels and the table through which everything calls them.
 *
 * Common to all: sizes may be 0; no pointer needs more than the alignment of its type; nothing outside the stated
 * elements is read or written; strides count floats. Inputs and outputs do not overlap unless a contract says so.
 * "Exact" means: the same bits from every instruction set. The others (gemm_f32, dwconv_f32) use fused multiply-adds
 * where the machine has them; they too are bit-identical on one instruction set however the outputs are split. */
#ifndef INSITU_KERNELS_H
#define INSITU_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* Activations. The values are stored in files: never renumber. */
typedef enum isgk_act_kind {
    ISGK_ACT_NONE = 0,
    ISGK_ACT_RELU = 1,         /* max(0, x) */
    ISGK_ACT_CLIP = 2,         /* min(hi, max(lo, x)) */
    ISGK_ACT_LEAKY_RELU = 3,   /* x < 0 ? alpha x : x */
    ISGK_ACT_SIGMOID = 4,      /* 1 / (1 + exp(-x)), relative error < 4e-7 for x >= -87, below that 0 */
    ISGK_ACT_HARD_SIGMOID = 5, /* min(1, max(0, alpha x + beta)) */
    ISGK_ACT_HARD_SWISH = 6,   /* x min(1, max(0, x / 6 + 1/2)) */
    ISGK_ACT_SILU = 7,         /* x sigmoid(x) */
    ISGK_ACT_COUNT = 8
} isgk_act_kind;

/* An activation and its parameters (unused ones are ignored). A kind out of range acts as NONE. */
typedef struct isgk_act {
    uint32_t kind; /* isgk_act_kind */
    float alpha, beta;
    float lo, hi;
} isgk_act;

typedef enum isgk_binary_op {
    ISGK_BINARY_ADD = 0,
    ISGK_BINARY_SUB = 1,
    ISGK_BINARY_MUL = 2,
    ISGK_BINARY_DIV = 3
} isgk_binary_op;

/* C[m][n] = (accumulate ? C : 0) + A[m][k] . B[k][n], all row-major with leading dimensions in floats. Each output
 * element is summed over k in increasing order in one chain (per ISA), so that splitting m or n over threads changes no
 * bit. Neither does splitting k into consecutive accumulating calls. */
typedef void isgk_gemm_f32_fn(float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t ldb, size_t m,
                              size_t n, size_t k, int accumulate);
/* Columns of a matrix in panels: panel j holds columns ISGK_PANEL j .. as [k][ISGK_PANEL]; numbers
 * behind column n may be read, but change nothing. */
#define ISGK_PANEL 32u

/* What becomes of a finished element x: min(hi, max(lo, x + bias[column] + residual[row * ldr + column])), in that
 * order; a NULL bias or residual is left out. */
typedef struct isgk_finish {
    const float *bias, *residual;
    size_t ldr;
    float lo, hi;
} isgk_finish;

/* A row of A that comes in runs, as the window of a convolution does: number p of row i is
 * a[i * lda + p / run * step + p % run]. k is a multiple of run. */
typedef struct isgk_runs {
    size_t run, step;
} isgk_runs;

/* C[m][n] = finish(A[m][k] . B[k][n]) with B in panels; the chain of each element is that of gemm_f32. finish NULL: the
 * product as it is. The residual may be C itself (ldr == ldc). runs NULL: rows of A lie in one piece. goes_on: C holds
 * the sums over the rows of B before these, and they go on (runs is NULL then). */
typedef void isgk_gemm_panels_f32_fn(float *c, size_t ldc, const float *a, size_t lda, const float *panels, size_t m,
                                     size_t n, size_t k, const isgk_finish *finish, const isgk_runs *runs, int goes_on);
/* Numbers rounded to bfloat16, to nearest with ties to even (denormals become zeros of their sign, a NaN stays one), of
 * two rows of a panel at once: word [p][c] of a panel holds rows 2 p (lower half) and 2 p + 1 (zero behind the last
 * row). `rows` rows of floats of one panel, which may not overlap dst. Exact. */
typedef void isgk_panel_bf16_fn(uint32_t *dst, const float *src, size_t rows);
/* C[m][n] = finish(A[m][k] . B[k][n]), A rounded here, panels [(k + 1) / 2][ISGK_PANEL] words; k <= ISGK_BF16_DEPTH. An
 * element is one chain: for each pair the product of its second numbers, then of its first, every sum rounded to
 * binary32, as VDPBF16PS adds them. Exact while products and sums are normal numbers or 0; denormal ones may be kept or
 * become 0. */
#define ISGK_BF16_DEPTH 2048u
typedef void isgk_gemm_panels_bf16_fn(float *c, size_t ldc, const float *a, size_t lda, const uint32_t *panels,
                                      size_t m, size_t n, size_t k, const isgk_finish *finish);
/* Codes of `columns` columns and `rows` rows, code (r, c) at bit first_bit + r * row_bits + c * bits of src:
 * dst[r * ldd + c] = (code * mul + add) * scales[c], and 0 for columns <= c < width. mul and add are integers (levels
 * are exact): one rounding. Exact up to the sign of zero. */
typedef void isgk_unpack_columns_fn(float *dst, size_t ldd, const uint8_t *src, size_t src_bytes, uint64_t first_bit,
                                    uint64_t row_bits, size_t rows, size_t columns, size_t width, uint32_t bits,
                                    float mul, float add, const float *scales);
/* dst[i] = code i * mul + add (two roundings, exact), codes of `bits` (1..8) starting at bit `bit_offset` of src, which
 * holds src_bytes bytes and all n codes. */
typedef void isgk_unpack_affine_fn(float *dst, const uint8_t *src, size_t src_bytes, uint64_t bit_offset, size_t n,
                                   uint32_t bits, float mul, float add);
/* In place on dst[m][n]: act(dst + bias[column]). bias [n] or NULL; act NULL means none. Exact. */
typedef void isgk_epilogue_f32_fn(float *dst, size_t ldd, size_t m, size_t n, const float *bias, const isgk_act *act);
/* dst[i] = act(src[i]), i < n; dst may be src. Exact. */
typedef void isgk_act_f32_fn(float *dst, const float *src, size_t n, const isgk_act *act);

/* Indirection: taps[p * tap_count + t] points at the `channels` floats that tap t reads for pixel p.
 * dst[p * ldd + c] = sum_t taps[..][c] * weights[t * ldw + c], t increasing, one chain. Every pointer is valid: padding
 * is a pointer to a row of zeros. Serves every stride, dilation and padding, and the FACTORED form, where the sum over
 * the bi spatial bases is just more taps (bi * k * k of them). */
typedef void isgk_dwconv_f32_fn(float *dst, size_t ldd, const float *const *taps, size_t pixels, size_t tap_count,
                                const float *weights, size_t ldw, size_t channels);
/* One row of a depthwise convolution whose taps lie in whole rows of pixels. Tap (ky, kx) of list i of pixel x is
 * rows[ky] + (x * stride + kx * dilation - left) * pixel_step + i * list_step, and nothing where rows[ky] is NULL or
 * the column is not in 0 .. width-1; its weights are row (ky * kw + kx) * lists + i. */
typedef struct isgk_dwrow {
    const float *const *rows; /* [kh] */
    const float *weights;
    size_t ldw, kh, kw, lists, width, pixel_step, list_step, stride, dilation, left;
} isgk_dwrow;

/* dst[x * ldd + c], x < pixels, c < channels: finish(the sum over the taps in the order ky, kx, i, one chain), with
 * pixels as rows; finish NULL: the sum as it is. */
typedef void isgk_dwrow_f32_fn(float *dst, size_t ldd, const isgk_dwrow *g, size_t pixels, size_t channels,
                               const isgk_finish *finish);

/* Winograd's F(4x4, 3x3) at the points 0, 1, -1, 2, -2 and infinity of both axes (Lavin and Gray, arXiv 1509.09308,
 * section 4.3). Number (y, x) of the 36 of channel c lies at points[(6 y + x) * step + c]. Every transform is that of
 * one axis along x, then along y; sums and products in the order written, none fused. */
#define ISGK_WINOGRAD_SIDE 6u
#define ISGK_WINOGRAD_POINTS (ISGK_WINOGRAD_SIDE * ISGK_WINOGRAD_SIDE)
#define ISGK_WINOGRAD_OUTPUTS 4u
/* Of the pixels of a tile, [6 y + x], NULL where all channels are 0. Along an axis, with t = d3 - d1, s = d4 - d2:
 * 4 (d0 - d2) + s, (d4 - 4 d2) + (d3 - 4 d1), (d4 - 4 d2) - (d3 - 4 d1), s + 2 t, s - 2 t, (d5 - d3) - 4 t.
 * channels is a multiple of 4 and at least 8. */
typedef void isgk_winograd_input_f32_fn(float *points, size_t step, const float *const *pixels, size_t channels);
/* Of the taps taps[(3 y + x) * tap_step + c]. Along an axis, with e = (w0 + w2) * (-1/6), o = w1 * (-1/6),
 * f = (w0 / 4 + w2) * (1/6), p = w1 * (1/12): w0 / 4, e + o, e - o, f + p, f - p, w2. channels is a multiple of 16. */
typedef void isgk_winograd_weights_f32_fn(float *points, size_t step, const float *taps, size_t tap_step,
                                          size_t channels);
/* dst[y * line + x * ldd + c], y < rows <= 4, x < columns <= 4: finish(what the points say), the residual lying as dst
 * does (ldr does not count). Along an axis, with s = m1 + m2, d = m1 - m2, u = m3 + m4, v = m3 - m4: (m0 + s) + u,
 * d + 2 v, s + 4 u, (d + 8 v) + m5. channels is a multiple of 16. */
typedef void isgk_winograd_output_f32_fn(float *dst, size_t line, size_t ldd, const float *points, size_t step,
                                         size_t rows, size_t columns, size_t channels, const isgk_finish *finish);
/* The same indirection as dwconv_f32; a NULL tap is skipped. dst = maximum over the taps, -infinity if there are none.
 * Exact for numbers (of a NaN nothing is promised). */
typedef void isgk_maxpool_f32_fn(float *dst, size_t ldd, const float *const *taps, size_t pixels, size_t tap_count,
                                 size_t channels);
/* dst = (sum over the taps, t increasing) * scale[p]; a NULL tap is skipped. Exact. */
typedef void isgk_avgpool_f32_fn(float *dst, size_t ldd, const float *const *taps, size_t pixels, size_t tap_count,
                                 size_t channels, const float *scale);
/* dst[c] = sum over rows r of src[r * lds + c], r increasing; 0 if there are none. Exact. */
typedef void isgk_rowsum_f32_fn(float *dst, const float *src, size_t lds, size_t rows, size_t channels);
/* dst[c] = maximum over rows of src[r * lds + c]; -infinity if there are none. Exact for numbers. */
typedef void isgk_rowmax_f32_fn(float *dst, const float *src, size_t lds, size_t rows, size_t channels);

/* dst[i] = a[i * a_step] op b[i * b_step], steps 0 (a scalar) or 1; dst may be a or b if that one's step is 1. Exact.
 */
typedef void isgk_binary_f32_fn(float *dst, const float *a, size_t a_step, const float *b, size_t b_step, size_t n,
                                isgk_binary_op op);
/* dst[r * ldd + c] = src[r * lds + c] * scale[c] + shift[c] (two roundings); dst may be src with ldd == lds. Exact. */
typedef void isgk_affine_f32_fn(float *dst, size_t ldd, const float *src, size_t lds, const float *scale,
                                const float *shift, size_t rows, size_t channels);
/* Each of `rows` rows of n: dst = exp(src - max) / sum, the sum in 16 interleaved chains added as a tree. exp has a
 * relative error < 1.5e-7 down to -87 and is 0 below. dst may be src with ldd == lds. Exact. */
typedef void isgk_softmax_f32_fn(float *dst, size_t ldd, const float *src, size_t lds, size_t rows, size_t n);
/* dst[c * ldd + r] = src[r * lds + c]: src is rows x cols, dst is cols x rows (NCHW to NHWC and back). Exact. */
typedef void isgk_transpose_f32_fn(float *dst, size_t ldd, const float *src, size_t lds, size_t rows, size_t cols);

/* ---- integers. All exact: the same bits from every instruction set ---- */

/* dst[i] = code i + add, codes of `bits` (1..8) from the first bit of src, which holds src_bytes bytes and all n codes.
 * Every result fits an int8. */
typedef void isgk_unpack_s8_fn(int8_t *dst, const uint8_t *src, size_t src_bytes, size_t n, uint32_t bits, int32_t add);
/* dst[4 c + r] = src[r * lds + c] for c < cols and r < rows (1..4), 0 for the other r < 4: one group of gemm_u8s8. */
typedef void isgk_interleave_s8_fn(int8_t *dst, const int8_t *src, size_t lds, size_t rows, size_t cols);
/* The same with columns c and cols + c of src as columns 2 c and 2 c + 1: dst[8 c + 4 s + r] = src[r * lds + s * cols +
 * c] for s < 2, c < cols and r < rows, 0 for the other r < 4. */
typedef void isgk_interleave_pairs_s8_fn(int8_t *dst, const int8_t *src, size_t lds, size_t rows, size_t cols);
/* dst[i] = round(clamp(src[i] * inverse, -zero, 255 - zero)) + zero; product and clamp in binary32, ties to even; a NaN
 * gives 0. zero is 0..255. */
typedef void isgk_quantise_u8_fn(uint8_t *dst, const float *src, size_t n, float inverse, int32_t zero);
/* dst[r * ldd + c] = round(clamp((float)src[r * lds + c] * mul[c] + add, 0, 255)), each step in binary32, ties to even.
 */
typedef void isgk_requantise_u8_fn(uint8_t *dst, size_t ldd, const int32_t *src, size_t lds, size_t rows, size_t cols,
                                   const float *mul, float add);
/* dst[r * ldd + c] = finish((float)src[r * lds + c] * mul[c] + add[c]) (three roundings and those of finish, whose bias
 * is NULL). finish NULL: as it is. The residual may be dst itself (ldr == ldd). */
typedef void isgk_dequantise_f32_fn(float *dst, size_t ldd, const int32_t *src, size_t lds, size_t rows, size_t cols,
                                    const float *mul, const float *add, const isgk_finish *finish);
/* From sums to the codes of what reads them: with x = min(hi, max(lo, (float)sum * mul[c] + add[c])),
 * dst[r * ldd + c] = round(clamp(x * inverse, -zero, 255 - zero)) + zero, the steps of dequantise_f32 and quantise_u8;
 * inverse is finite and above 0. */
typedef struct isgk_recode {
    const float *mul, *add;
    float lo, hi, inverse;
    int32_t zero;
} isgk_recode;

typedef void isgk_recode_u8_fn(uint8_t *dst, size_t ldd, const int32_t *src, size_t lds, size_t rows, size_t cols,
                               const isgk_recode *to);
/* What bytes b of codes stand for: b, or, where `odd`, 2 b + 1, so that eight bits of odd numbers are bytes too. No |b|
 * is larger than `most`, 0..128: products of few bits need less room. */
typedef struct isgk_codes {
    int32_t most;
    int odd;
} isgk_codes;

/* C[i][j] = init[j] + sum over g < k4 and r < 4 of A[i][4 g + r] * what B[(g * ldb + j) * 4 + r] stands for, modulo
 * 2^32 nowhere: the caller keeps sums in range. Rows of A are read in whole groups of 4. */
typedef void isgk_gemm_u8s8_fn(int32_t *c, size_t ldc, const uint8_t *a, size_t lda, const int8_t *b, size_t ldb,
                               size_t m, size_t n, size_t k4, const int32_t *init, const isgk_codes *codes);
/* Sums over taps in `groups` groups of four (all pointers valid) with a start a channel, for a row of pixels that read
 * `pixel_step` bytes apart: dst[p * ldd + c] = init[c] + sum over t of taps[t][p * pixel_step + c] * w. The code of w
 * of tap t and channel c lies at weights[t / 4 * step + isgk_dw_slot(c) + t % 4], step = 256 bytes for every 64
 * channels begun. Taps are read in whole groups of 32 channels. */
typedef void isgk_dwconv_u8s8_fn(int32_t *dst, size_t ldd, const uint8_t *const *taps, size_t pixel_step, size_t pixels,
                                 size_t groups, const int8_t *weights, size_t channels, const int32_t *init,
                                 const isgk_codes *codes);
/* The same over pairs of taps that lie side by side, as two bases of one pixel can: dst[p * ldd + c] = init[c] + sum
 * over t < tap_count and r < 2 of taps[t][p * pixel_step + 2 c + r] times what weights[t * ldw + 2 c + r] stands for.
 * Taps and weights are read in whole groups of 32 bytes. */
typedef void isgk_dwpairs_u8s8_fn(int32_t *dst, size_t ldd, const uint8_t *const *taps, size_t pixel_step,
                                  size_t pixels, size_t tap_count, const int8_t *weights, size_t ldw, size_t channels,
                                  const int32_t *init, const isgk_codes *codes);
/* Place of a channel's four weights in a group: the order in which interleaving bytes in 128-bit lanes leaves them. */
static inline size_t isgk_dw_slot(size_t c)
{
    return c / 64 * 256 + c % 16 / 4 * 64 + c % 64 / 16 * 16 + c % 4 * 4;
}

typedef struct isgk_table {
#define ISGK_OP(op) isgk_##op##_fn *op;
#include "kernels/kernels.def"
} isgk_table;

/* Every variant in the list; those of other machines do not exist. */
#define ISGK(op, isa, bit) isgk_##op##_fn isgk_##op##__##isa;
#include "kernels/kernels.def"

/* Fills the table: the plain C reference first, then what `isa` (isg_isa bits, already limited to the CPU's) overrides.
 */
void isgk_table_init(isgk_table *table, uint32_t isa);

#endif
