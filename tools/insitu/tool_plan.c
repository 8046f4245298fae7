/* SPDX-License-Identifier: Apache-2.0 */
/* What bench and info say of the planner's decisions. */
#include <string.h>

#include "tool.h"

uint32_t tool_layer_threads(const isg_rt_op *op, uint32_t threads)
{
    if (!op->tasks) return 1;
    return op->tasks < threads ? op->tasks : threads;
}

double tool_predicted_ms(const isg_rt_op *op, uint32_t threads)
{
    const uint32_t tasks = op->tasks ? op->tasks : 1, turns = (tasks - 1) / threads + 1;
    return (double)op->predicted_ns * 1e-6 * turns / tasks;
}

int tool_slower_than_dense(const isg_rt_op *op)
{
    /* A prediction within a twentieth of the other's is no finding. */
    return op->weight >= 0 && op->strategy != ISG_STRATEGY_DENSE && op->predicted_ns > op->dense_ns + op->dense_ns / 20;
}

static double elements(const uint32_t *dims, uint32_t rank)
{
    double n = 1.0;
    for (uint32_t i = 0; i < rank; i++) n *= dims[i];
    return n;
}

double tool_layer_bytes(const isg_rt_op *op)
{
    return (double)op->weight_bytes +
           sizeof(float) * (elements(op->input_dims, op->input_rank) + elements(op->output_dims, op->output_rank));
}

double tool_bound_ms(const isg_rt_op *op, const isg_peaks *peaks, uint32_t threads)
{
    const double rate = op->mode == ISG_MODE_INT8   ? peaks->int8_macs
                        : op->mode == ISG_MODE_BF16 ? peaks->bf16_macs
                                                    : peaks->f32_macs;
    const double work = (double)op->macs / (rate * tool_layer_threads(op, threads));
    const double traffic = tool_layer_bytes(op) / (peaks->bytes * tool_layer_threads(op, threads));
    return 1e3 * (work > traffic ? work : traffic);
}

const char *tool_plan_name(const isg_rt_op *op, size_t *bytes)
{
    *bytes = op->name_bytes ? op->name_bytes : strlen(op->kind);
    return op->name_bytes ? op->name : op->kind;
}

void tool_plan_head(int width)
{
    printf("  %-*s %-9s %-4s %-12s %6s %7s %10s %10s %8s %10s %8s %10s\n", width, "layer", "way", "mode", "tile",
           "tasks", "threads", "predicted", "measured", "GMAC/s", "roofline", "times", "dense");
}

void tool_plan_line(const isg_rt_op *op, int width, uint32_t threads, double ms, double other_ms, double bound_ms)
{
    char tile[32] = "";
    size_t bytes;
    const char *name = tool_plan_name(op, &bytes);
    printf("  ");
    tool_print_name(name, bytes, width);
    if (op->weight < 0) {
        printf(" %-9s %-4s %-12s %6s %7s %10s %10.4f %8s %10.4f %8.2f\n", "", "", "", "", "", "", ms, "", bound_ms,
               ms / bound_ms);
        return;
    }
    snprintf(tile, sizeof tile, "%ux%u", op->tile_pixels, op->tile_rows);
    printf(" %-9s %-4s %-12s %6u %7u %10.4f %10.4f %8.2f %10.4f %8.2f %10.4f%s%s\n", tool_strategy_name(op->strategy),
           tool_mode_name(op->mode), tile, op->tasks, tool_layer_threads(op, threads), tool_predicted_ms(op, threads),
           ms, ms > 0.0 ? (double)op->macs / ms * 1e-6 : 0.0, bound_ms, ms / bound_ms,
           other_ms >= 0.0 ? other_ms : (double)op->dense_ns * 1e-6, other_ms >= 0.0 ? " measured" : "",
           tool_slower_than_dense(op) ? "  slower than dense" : "");
}

void tool_slower_note(uint32_t layers, int measured_costs)
{
    if (!layers) return;
    printf("%u compressed layer%s would be faster with plain float32 weights, by the %s costs\n", layers,
           layers > 1 ? "s" : "", measured_costs ? "measured" : "built-in");
}
