/* SPDX-License-Identifier: Apache-2.0 */
/* Memory errors on purpose: flips bits of chosen streams of a .isg image, to measure what a leaky tier costs. */
#ifndef INSITU_BIT_ERRORS_H
#define INSITU_BIT_ERRORS_H

#include <insitu/memory.h>
#include <insitu/status.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum isg_error_stream {
    ISG_ERROR_BASIS = 0, /* of layers with factors */
    ISG_ERROR_U = 1,
    ISG_ERROR_V = 2,
    ISG_ERROR_WEIGHT = 3, /* of layers that are stored whole, quantised or not */
    ISG_ERROR_SCALE = 4,  /* every scale of every layer */
    ISG_ERROR_BIAS = 5,   /* biases and other vectors, with their scales */
    ISG_ERROR_STREAMS = 6
} isg_error_stream;
/* "basis", "u", "v", "weight", "scale", "bias". */
const char *isg_error_stream_name(isg_error_stream stream);

typedef struct isg_bit_errors {
    uint32_t struct_size;
    uint64_t seed;
    double rate[ISG_ERROR_STREAMS]; /* probability that a stored bit is flipped, 0..1 */
} isg_bit_errors;

/* What happened per stream. `spared`: flips that were left out because the stored number would have become infinite or
 * NaN, which no decoder accepts. */
typedef struct isg_bit_error_report {
    uint64_t bits[ISG_ERROR_STREAMS], flipped[ISG_ERROR_STREAMS], spared[ISG_ERROR_STREAMS];
} isg_bit_error_report;

/* A copy of a .isg image with each bit of a stream flipped, independently, with that stream's probability; checksums
 * are made anew, so that the copy opens. Graph, contract and golden pair stay (selftest of the copy should fail). Bits
 * are drawn in file order from one sequence a stream: the same seed gives the same copy on every machine, and a larger
 * rate flips a superset. *out is 64-byte aligned, of `bytes` bytes, free with isg_free(). Errors: ARG (a rate is no
 * probability), those of isg_rt_open(), NOMEM. */
ISG_NODISCARD isg_status isg_bit_errors_inject(void **out, isg_bit_error_report *report, const void *image,
                                               size_t bytes, const isg_bit_errors *errors, isg_error *err);

#ifdef __cplusplus
}
#endif
#endif
