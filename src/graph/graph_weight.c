/* SPDX-License-Identifier: Apache-2.0 */
/* Dense weights of constants and of factored values, through the one definition of weight generation. */
#include "graph/graph_internal.h"
#include "host/alloc.h"

#include <string.h>

isg_status isg_graph_weight(const isg_graph *g, int32_t value, isg_tensor **out, isg_error *err)
{
    const isg_value *v;
    const isg_factors *f;
    isg_tensor *t = NULL;
    float *hwio = NULL;
    char name[96];
    int64_t expected;
    isg_status status;
    if (value < 0 || value >= g->value_count) return isgi_fail(err, ISG_E_ARG, "no such value %d", (int)value);
    v = &g->values[value];
    if (v->constant) return isg_tensor_clone(out, v->constant, err);
    f = v->factors;
    isgi_escape(name, sizeof name, v->name);
    if (!f) return isgi_fail(err, ISG_E_ARG, "value '%s' is not a weight", name);
    if (v->dtype != ISG_DT_F32) return isgi_fail(err, ISG_E_UNSUPPORTED, "weight '%s' is not float32", name);
    status = isg_tensor_create(&t, ISG_DT_F32, v->rank, v->dims, err);
    if (status != ISG_OK) return status;
    expected = (int64_t)f->taps * f->ci * f->co;
    if (t->count != expected) {
        status = isgi_fail(err, ISG_E_SHAPE, "factors of weight '%s' make %lld numbers, its shape has %lld", name,
                           (long long)expected, (long long)t->count);
        goto done;
    }
    hwio = isgi_malloc((size_t)t->count * sizeof *hwio);
    if (!hwio) {
        status = isgi_nomem(err);
        goto done;
    }
    status = isg_factors_weight(hwio, f, err);
    if (status != ISG_OK) goto done;
    /* Depthwise factors hold [taps * channels][1]: ONNX's [channels][1][taps] falls out with co = 1. */
    isg_weight_hwio_to_oihw(t->data, hwio, f->co, f->ci, f->taps);
    *out = t;
    t = NULL;
done:
    isg_tensor_destroy(t);
    isg_free(hwio);
    return status;
}
