/* SPDX-License-Identifier: Apache-2.0 */
/* Distillation and cross-entropy loss on logits (SPEC section 6). */
#ifndef INSITU_TRAIN_LOSS_KD_H
#define INSITU_TRAIN_LOSS_KD_H

#include <stddef.h>
#include <stdint.h>

typedef struct isgi_kd {
    float beta;        /* weight of the distillation term, clipped to 0..1; 0: cross-entropy alone */
    float temperature; /* > 0 */
    float smoothing;   /* label smoothing of the cross-entropy: 1 - e on the label, e / classes everywhere */
    uint32_t total;    /* samples that the mean is over, where these are a part of them; 0: these */
} isgi_kd;

/* Mean loss (kd->total: this part of it) over a batch of logits [batch][classes]. teacher may be NULL where beta is 0,
 * labels where it is 1; a label outside 0..classes-1 leaves its row out of the cross-entropy. grad [batch][classes]
 * receives d loss / d student unless NULL; cross_entropy and correct (rows whose greatest logit is the label) are
 * written unless NULL. */
double isgi_loss_kd(const isgi_kd *kd, const float *student, const float *teacher, const int32_t *labels, size_t batch,
                    size_t classes, float *grad, double *cross_entropy, size_t *correct);

#endif
