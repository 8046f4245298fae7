/* SPDX-License-Identifier: Apache-2.0 */
/* How far two tensors lie apart, summed over items, for the verbs that set one model beside another. */
#include "tool_sums.h"

#include <math.h>
#include <stdlib.h>

void tool_sums_add(tool_sums *s, const float *a, const float *b, uint64_t n)
{
    uint64_t i, best_a = 0, best_b = 0;
    for (i = 0; i < n; i++) {
        double x = (double)a[i], y = (double)b[i], e = fabs(x - y);
        if (e > s->max_error || isnan(e)) s->max_error = e;
        if (fabs(x) > s->max_value) s->max_value = fabs(x);
        s->dot += x * y;
        s->aa += x * x;
        s->bb += y * y;
        s->ee += e * e;
        if (a[i] > a[best_a]) best_a = i;
        if (b[i] > b[best_b]) best_b = i;
    }
    s->count += n;
    s->items++;
    s->same_argmax += best_a == best_b;
}

double tool_sums_relative(const tool_sums *s)
{
    if (s->max_error == 0.0) return 0.0;
    return s->max_value > 0.0 ? s->max_error / s->max_value : INFINITY;
}

double tool_sums_cosine(const tool_sums *s)
{
    if (s->aa == 0.0 || s->bb == 0.0) return s->aa == s->bb ? 1.0 : 0.0;
    return s->dot / sqrt(s->aa * s->bb);
}

double tool_sums_snr(const tool_sums *s)
{
    return s->ee == 0.0 ? INFINITY : 10.0 * log10(s->aa / s->ee);
}

isg_status tool_sums_read(const isg_rt_context *ctx, uint32_t op, float **values, uint64_t *count)
{
    isg_rt_op info;
    uint32_t d;
    isg_status status = isg_rt_op_info(ctx, op, &info);
    if (status != ISG_OK) return status;
    *count = 1;
    for (d = 0; d < info.output_rank; d++) *count *= info.output_dims[d];
    if (!*values) *values = malloc((size_t)*count * sizeof **values);
    return *values ? isg_rt_read(ctx, op, -1, *values, (size_t)*count, NULL, NULL) : ISG_E_NOMEM;
}

float tool_sums_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return (float)(z >> 40) * (1.0f / 8388608.0f) - 1.0f;
}
