/* SPDX-License-Identifier: Apache-2.0 */
/* Shape inference: the operators' own shape functions run at two batch sizes; what follows the batch is symbolic. */
#include "graph/infer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Two large primes: a dimension that equals the one in the first run and the other in the second is the batch. Small
 * or composite sizes would let a quotient of the batch pass for a constant. Nothing of this size is allocated. */
static const int64_t batch_sizes[2] = {997, 1009};

#define MAX_SHAPE_DATA 4096

static isg_status create_shapes(isgi_shapes *s, const isg_graph *g, isg_error *err)
{
    memset(s, 0, sizeof *s);
    s->count = g->value_count;
    for (int i = 0; i < 2; i++) {
        s->run[i] = isgi_calloc((size_t)g->value_count, sizeof *s->run[i]);
        s->owned[i] = isgi_calloc((size_t)g->value_count, 1);
        if (!s->run[i] || !s->owned[i]) {
            isgi_shapes_clear(s);
            return isgi_nomem(err);
        }
    }
    return ISG_OK;
}

void isgi_shapes_clear(isgi_shapes *s)
{
    for (int i = 0; i < 2; i++) {
        for (int32_t v = 0; s->run[i] && s->owned[i] && v < s->count; v++)
            if (s->owned[i][v]) isg_free(s->run[i][v].data);
        isg_free(s->run[i]);
        isg_free(s->owned[i]);
    }
    memset(s, 0, sizeof *s);
}

static isg_status input_shape(isg_tensor *t, const isg_value *v, int64_t batch, isg_error *err)
{
    char name[96];
    int64_t dims[ISG_MAX_RANK];
    int known = v->rank >= 0 && v->dtype != ISG_DT_NONE;
    for (int32_t d = 0; known && d < v->rank; d++) {
        dims[d] = v->dims[d] == ISG_DIM_BATCH ? batch : v->dims[d];
        known = dims[d] >= 0;
    }
    if (!known)
        return isgi_fail(err, ISG_E_UNSUPPORTED,
                         "input '%s' has an unknown dimension besides the batch: give its shape (--shape)",
                         isgi_escape(name, sizeof name, v->name));
    return isgi_tensor_shape(t, v->dtype, v->rank, dims, err);
}

static int is_heavy(isg_op op)
{
    return op == ISG_OP_CONV || op == ISG_OP_GEMM || op == ISG_OP_MATMUL || op == ISG_OP_MAX_POOL ||
           op == ISG_OP_AVERAGE_POOL;
}

/* Content of small outputs whose inputs are all known: the arithmetic on shapes that exporters leave behind. */
static isg_status evaluate_small(isgi_call *c, isg_error *err)
{
    int64_t total = 0;
    isg_status status = ISG_OK;
    if (is_heavy(c->node->op)) return ISG_OK;
    for (int32_t k = 0; k < c->in_count; k++) {
        if (!c->in[k]) continue;
        if (!c->in[k]->data && c->node->op != ISG_OP_SHAPE) return ISG_OK;
        if (c->node->op != ISG_OP_SHAPE) total += c->in[k]->count;
    }
    for (int32_t k = 0; k < c->out_count; k++) total += c->out[k].count;
    if (total > MAX_SHAPE_DATA) return ISG_OK;
    for (int32_t k = 0; k < c->out_count && status == ISG_OK; k++) status = isgi_tensor_alloc(&c->out[k], err);
    if (status == ISG_OK) status = isgi_op_definition(c->node->op)->eval(c);
    return status;
}

static isg_status infer_node(isgi_shapes *s, int run, const isg_graph *g, int32_t i, isg_error *err)
{
    const isg_node *n = &g->nodes[i];
    const isgi_op_def *def = isgi_op_definition(n->op);
    const isg_tensor **in = isgi_calloc((size_t)n->input_count, sizeof *in);
    isg_tensor *out = isgi_calloc((size_t)n->output_count, sizeof *out);
    isg_error inner = {ISG_OK, -1, ISG_ERROR_NONE, ""};
    isgi_call call = {n, g->opset, in, n->input_count, out, n->output_count, &inner};
    isg_status status = ISG_OK;
    if (!in || !out) {
        status = isgi_nomem(&inner);
        goto done;
    }
    if (!def) {
        status = isgi_fail(&inner, ISG_E_UNSUPPORTED, "operator is not implemented");
        goto done;
    }
    for (int32_t k = 0; k < n->input_count; k++)
        if (n->inputs[k] >= 0) in[k] = &s->run[run][n->inputs[k]];
    status = def->shape(&call);
    if (status == ISG_OK) status = evaluate_small(&call, &inner);
    for (int32_t k = 0; k < n->output_count && status == ISG_OK; k++) {
        const int32_t v = n->outputs[k];
        if (v < 0) continue;
        s->run[run][v] = out[k];
        s->owned[run][v] = out[k].data != NULL;
        out[k].data = NULL;
    }
done:
    for (int32_t k = 0; out && k < n->output_count; k++) isg_free(out[k].data);
    isg_free(in);
    isg_free(out);
    return status == ISG_OK ? status : isgi_node_fail(g, i, status, inner.message, err);
}

static isg_status infer_constants(isgi_shapes *s, int run, const isg_graph *g, isg_error *err)
{
    for (int32_t v = 0; v < g->value_count; v++) {
        const isg_value *value = &g->values[v];
        if (value->constant)
            s->run[run][v] = *value->constant;
        else if (value->factors)
            ISGI_TRY(isgi_tensor_shape(&s->run[run][v], value->dtype, value->rank, value->dims, err));
    }
    return ISG_OK;
}

/* ---- messages without our batch sizes ---- */

/* a and b at the two batches as a number that follows the batch N: "N", "24N", "N-3". 0: it does not, in a line. */
static int write_count(char *dst, size_t size, long long a, long long b)
{
    const long long step = batch_sizes[1] - batch_sizes[0], slope = (b - a) / step, rest = a - slope * batch_sizes[0];
    char times[24] = "", plus[24] = "";
    int n;
    if ((b - a) % step != 0) return 0;
    if (slope != 1) snprintf(times, sizeof times, "%lld", slope);
    if (rest != 0) snprintf(plus, sizeof plus, "%+lld", rest);
    n = snprintf(dst, size, "%sN%s", times, plus);
    return n > 0 && (size_t)n < size ? n : 0;
}

/* Two messages that differ in such numbers only, as one. 0: they differ otherwise. */
static int join_messages(char *dst, size_t size, const char *a, const char *b)
{
    static const char digits[] = "0123456789";
    size_t n = 0;
    while (*a || *b) {
        const size_t p = strspn(a, digits), q = strspn(b, digits);
        if (p && q && (p != q || memcmp(a, b, p) != 0)) {
            const int wrote =
                p > 17 || q > 17 ? 0 : write_count(dst + n, size - n, strtoll(a, NULL, 10), strtoll(b, NULL, 10));
            if (!wrote) return 0;
            n += (size_t)wrote;
            a += p;
            b += q;
        } else {
            if (*a != *b || n + 1 >= size) return 0;
            dst[n++] = *a++;
            b++;
        }
    }
    dst[n] = '\0';
    return 1;
}

/* The numbers in the message of a failed run are those of a batch that nobody asked for: they become terms in N, or get
 * their reason. */
static void explain_batch(isg_error *why, const isg_status status[2], const isg_error run[2])
{
    const int failed = status[0] == ISG_OK;
    char text[sizeof why->message];
    *why = run[failed];
    if (status[0] == status[1] && join_messages(text, sizeof text, run[0].message, run[1].message))
        memcpy(why->message, text, sizeof text);
    else
        snprintf(why->message, sizeof why->message, "%.*s (with a batch of %lld)", (int)sizeof text - 40,
                 run[failed].message, (long long)batch_sizes[failed]);
}

int isgi_shapes_known(const isgi_shapes *s, int32_t value)
{
    return s->run[0][value].dtype != ISG_DT_NONE && s->run[1][value].dtype != ISG_DT_NONE;
}

static int inputs_known(const isgi_shapes *s, const isg_node *n)
{
    for (int32_t k = 0; k < n->input_count; k++)
        if (n->inputs[k] >= 0 && !isgi_shapes_known(s, n->inputs[k])) return 0;
    return 1;
}

/* Inputs that the importer refused have no type: that is said already. */
static isg_status infer_inputs(isgi_shapes *s, const isg_graph *g, const isgi_faults *faults, isg_error *err)
{
    for (int32_t i = 0; i < g->input_count; i++) {
        const int32_t v = g->inputs[i];
        isg_error why = {ISG_OK, -1, ISG_ERROR_NONE, ""};
        isg_status status = ISG_OK;
        if (faults && g->values[v].dtype == ISG_DT_NONE) continue;
        for (int run = 0; run < 2 && status == ISG_OK; run++)
            status = input_shape(&s->run[run][v], &g->values[v], batch_sizes[run], &why);
        if (status != ISG_OK) ISGI_TRY(isgi_fault(faults, g, -1, status, &why, err));
    }
    return ISG_OK;
}

static isg_status infer_nodes(isgi_shapes *s, const isg_graph *g, const isgi_faults *faults, isg_error *err)
{
    for (int32_t i = 0; i < g->node_count; i++) {
        isg_error run[2] = {{ISG_OK, -1, ISG_ERROR_NONE, ""}, {ISG_OK, -1, ISG_ERROR_NONE, ""}}, why;
        isg_status status[2];
        if (g->nodes[i].op == ISG_OP_CONSTANT || (faults && !inputs_known(s, &g->nodes[i]))) continue;
        for (int r = 0; r < 2; r++) status[r] = infer_node(s, r, g, i, &run[r]);
        if (status[0] == ISG_OK && status[1] == ISG_OK) continue;
        if (status[0] == ISG_E_NOMEM || status[1] == ISG_E_NOMEM) return isgi_nomem(err);
        explain_batch(&why, status, run);
        ISGI_TRY(isgi_fault(faults, g, i, why.status, &why, err));
    }
    return ISG_OK;
}

isg_status isgi_shapes_infer(isgi_shapes *s, const isg_graph *g, const isgi_faults *faults, isg_error *err)
{
    isg_status status = create_shapes(s, g, err);
    for (int run = 0; run < 2 && status == ISG_OK; run++) status = infer_constants(s, run, g, err);
    if (status == ISG_OK) status = infer_inputs(s, g, faults, err);
    if (status == ISG_OK) status = infer_nodes(s, g, faults, err);
    if (status != ISG_OK) isgi_shapes_clear(s);
    return status;
}

int64_t isgi_shapes_dim(const isgi_shapes *s, int32_t value, int32_t axis)
{
    const int64_t a = s->run[0][value].dims[axis], b = s->run[1][value].dims[axis];
    if (a == b) return a;
    return a == batch_sizes[0] && b == batch_sizes[1] ? ISG_DIM_BATCH : ISG_DIM_UNKNOWN;
}

int isgi_shapes_same_data(const isgi_shapes *s, int32_t value)
{
    const isg_tensor *a = &s->run[0][value], *b = &s->run[1][value];
    if (!a->data || !b->data || a->dtype != b->dtype || a->rank != b->rank) return 0;
    if (memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) != 0) return 0;
    return memcmp(a->data, b->data, (size_t)a->count * isg_dtype_size(a->dtype)) == 0;
}

isg_status isgi_graph_infer(isg_graph *g, const isgi_faults *faults, isg_error *err)
{
    isgi_shapes s;
    isg_status status = isg_graph_validate(g, err);
    if (status != ISG_OK) return status;
    status = isgi_shapes_infer(&s, g, faults, err);
    if (status != ISG_OK) return status;
    for (int32_t i = 0; i < g->node_count && status == ISG_OK; i++) {
        for (int32_t k = 0; k < g->nodes[i].output_count; k++) {
            const int32_t v = g->nodes[i].outputs[k];
            isg_value *value = v >= 0 ? &g->values[v] : NULL;
            if (!value || value->constant || (faults && !isgi_shapes_known(&s, v))) continue;
            if (s.run[0][v].rank != s.run[1][v].rank) {
                isg_error why = {ISG_OK, -1, ISG_ERROR_NONE, ""};
                status = isgi_node_fail(g, i, ISG_E_UNSUPPORTED, "the rank of its output depends on the batch", &why);
                status = isgi_fault(faults, g, i, status, &why, err);
                break;
            }
            value->dtype = s.run[0][v].dtype;
            value->rank = s.run[0][v].rank;
            for (int32_t d = 0; d < value->rank; d++) value->dims[d] = isgi_shapes_dim(&s, v, d);
        }
    }
    isgi_shapes_clear(&s);
    return status;
}

isg_status isg_graph_infer(isg_graph *g, isg_error *err)
{
    return isgi_graph_infer(g, NULL, err);
}
