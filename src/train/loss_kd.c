/* SPDX-License-Identifier: Apache-2.0 */
/* Distillation and cross-entropy loss on logits (SPEC section 6). */
#include "train/loss_kd.h"

#include <math.h>

/* log of the sum of exp(x / t), safe for large x. */
static double log_sum_exp(const float *x, size_t n, double t)
{
    double top = -INFINITY, sum = 0;
    for (size_t c = 0; c < n; c++) top = fmax(top, (double)x[c] / t);
    for (size_t c = 0; c < n; c++) sum += exp((double)x[c] / t - top);
    return top + log(sum);
}

/* T^2 KL of one row times beta; adds beta T (p_s - p_t) / batch to its gradient. */
static double distil_row(const float *s, const float *q, size_t n, double beta, double t, double batch, float *grad)
{
    const double zs = log_sum_exp(s, n, t), zt = log_sum_exp(q, n, t);
    double kl = 0;
    for (size_t c = 0; c < n; c++) {
        const double ls = (double)s[c] / t - zs, lt = (double)q[c] / t - zt;
        kl += exp(lt) * (lt - ls);
        if (grad) grad[c] += (float)(beta * t * (exp(ls) - exp(lt)) / batch);
    }
    return beta * t * t * kl;
}

static double entropy_row(const float *s, size_t label, size_t n, double share, double smooth, double batch,
                          float *grad)
{
    const double z = log_sum_exp(s, n, 1.0);
    double loss = 0;
    for (size_t c = 0; c < n; c++) {
        const double target = smooth / (double)n + (c == label ? 1.0 - smooth : 0.0), l = (double)s[c] - z;
        loss -= target * l;
        if (grad) grad[c] += (float)(share * (exp(l) - target) / batch);
    }
    return loss;
}

static size_t argmax(const float *x, size_t n)
{
    size_t best = 0;
    for (size_t c = 1; c < n; c++) {
        if (x[c] > x[best]) best = c;
    }
    return best;
}

double isgi_loss_kd(const isgi_kd *kd, const float *student, const float *teacher, const int32_t *labels, size_t batch,
                    size_t classes, float *grad, double *cross_entropy, size_t *correct)
{
    const double beta = teacher ? fmin(fmax((double)kd->beta, 0.0), 1.0) : 0.0;
    const double mean = kd->total ? (double)kd->total : (double)batch;
    double loss = 0, ce = 0;
    size_t right = 0;
    for (size_t i = 0; grad && i < batch * classes; i++) grad[i] = 0.0f;
    for (size_t b = 0; b < batch; b++) {
        const float *s = student + b * classes;
        float *g = grad ? grad + b * classes : NULL;
        if (beta > 0.0) {
            loss += distil_row(s, teacher + b * classes, classes, beta, (double)kd->temperature, mean, g);
        }
        if (!labels || labels[b] < 0 || (size_t)labels[b] >= classes) continue;
        right += argmax(s, classes) == (size_t)labels[b];
        ce += entropy_row(s, (size_t)labels[b], classes, 1.0 - beta, (double)kd->smoothing, mean, g);
    }
    if (cross_entropy) *cross_entropy = ce / mean;
    if (correct) *correct = right;
    return (loss + (1.0 - beta) * ce) / mean;
}
