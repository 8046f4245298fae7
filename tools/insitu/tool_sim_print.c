/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of the accelerator model for people. */
#include <math.h>
#include <string.h>

#include "tool_sim.h"

static char *scaled(char *dst, size_t size, double value, const char *const units[], int count)
{
    int u = 0;
    if (value < 1e-9 && value > -1e-9) value = 0.0;
    while (u + 1 < count && fabs(value) >= 999.5) {
        value /= 1000.0;
        u++;
    }
    snprintf(dst, size, "%.*f%s",
             fabs(value) >= 99.95 || value == 0.0 ? 0
             : fabs(value) >= 9.995               ? 1
                                                  : 2,
             value, units[u]);
    return dst;
}

char *sim_energy(char *dst, size_t size, double pj)
{
    static const char *const units[] = {" pJ", " nJ", " uJ", " mJ", " J", " kJ"};
    return scaled(dst, size, pj, units, 6);
}

char *sim_time(char *dst, size_t size, double ns)
{
    static const char *const units[] = {" ns", " us", " ms", " s"};
    return scaled(dst, size, ns, units, 4);
}

char *sim_count(char *dst, size_t size, double n)
{
    static const char *const units[] = {"", " k", " M", " G", " T", " P"};
    return scaled(dst, size, n, units, 6);
}

static double tier_bytes(const isg_sim_result *r, uint32_t tier)
{
    double sum = 0.0;
    int s;
    for (s = 0; s < ISG_SIM_STREAMS; s++) sum += r->read_bytes[tier][s] + r->written_bytes[tier][s];
    return sum;
}

void sim_print_profile(const isg_sim_profile *p)
{
    uint32_t i, marks[3] = {0, 0, 0}, count = isg_sim_profile_number_count(p);
    isg_sim_number number;
    for (i = 0; i < count; i++)
        if (isg_sim_profile_number(p, i, &number) == ISG_OK && number.mark <= ISG_SIM_ASSUMED) marks[number.mark]++;
    printf("profile    %s: %s\n", isg_sim_profile_name(p), isg_sim_profile_title(p));
    printf("           %s, %s engine, peak %.4g GOP/s; numbers: %u seen, %u remembered, %u assumed\n",
           isg_sim_profile_node(p), isg_sim_engine_name(isg_sim_profile_engine(p)), isg_sim_profile_peak_gops(p),
           marks[ISG_SIM_SEEN], marks[ISG_SIM_REMEMBERED], marks[ISG_SIM_ASSUMED]);
    if (*isg_sim_profile_note(p)) printf("           %s\n", isg_sim_profile_note(p));
}

static void print_layer(const char *name, const isg_sim_result *r)
{
    char shown[200], a[32], b[32], c[32], d[32], e[32], f[32];
    printf("%-28.28s %-9s %9s %9s %9s %9s %10s %10s %-11s %8.2f\n",
           tool_escape(shown, sizeof shown, name, strlen(name)), isg_sim_mode_name(r->mode),
           tool_bytes(a, sizeof a, r->far_bytes), sim_count(b, sizeof b, r->generation1 + r->generation2),
           sim_count(c, sizeof c, r->macs), sim_count(d, sizeof d, r->cycles),
           sim_energy(e, sizeof e, r->total_pj.typical), sim_time(f, sizeof f, r->latency_ns.typical),
           isg_sim_term_name(r->binding), r->intensity);
}

static void print_layers(const sim_job *job, const isg_sim_report *r)
{
    uint32_t l;
    printf("\n%-28s %-9s %9s %9s %9s %9s %10s %10s %-11s %8s\n", "layer", "way", "far bytes", "generate", "MACs",
           "cycles", "energy", "latency", "bound by", "op/byte");
    for (l = 0; l < r->layer_count; l++) print_layer(job->network->layers[l].name, &r->layers[l]);
    print_layer("total", &r->total);
}

static void print_streams_head(const char *first, int width)
{
    int s;
    printf("\n%-*s", width, first);
    for (s = 0; s < ISG_SIM_STREAMS; s++) printf(" %10s", isg_sim_stream_name((isg_sim_stream)s));
    printf(" %10s\n", "all");
}

static void print_streams(const isg_sim_result *r, uint32_t tier)
{
    char text[32];
    int s;
    for (s = 0; s < ISG_SIM_STREAMS; s++) {
        double bytes = r->read_bytes[tier][s] + r->written_bytes[tier][s];
        printf(" %10s", bytes > 0.0 ? tool_bytes(text, sizeof text, bytes) : "-");
    }
    printf(" %10s\n", tool_bytes(text, sizeof text, tier_bytes(r, tier)));
}

static void print_traffic(const isg_sim_profile *p, const isg_sim_result *r)
{
    uint32_t i;
    isg_sim_tier tier;
    print_streams_head("bytes moved", 12);
    for (i = 0; i < isg_sim_profile_tier_count(p); i++) {
        if (isg_sim_profile_tier(p, i, &tier) != ISG_OK || tier_bytes(r, i) <= 0.0) continue;
        printf("%-12.12s", tier.name);
        print_streams(r, i);
    }
}

static void print_detail_traffic(const sim_job *job, const isg_sim_report *r)
{
    uint32_t l, i;
    char shown[200];
    isg_sim_tier tier;
    print_streams_head("bytes moved, by layer and memory", 41);
    for (l = 0; l < r->layer_count; l++)
        for (i = 0; i < isg_sim_profile_tier_count(job->profile); i++) {
            const char *name = job->network->layers[l].name;
            if (isg_sim_profile_tier(job->profile, i, &tier) != ISG_OK || tier_bytes(&r->layers[l], i) <= 0.0) continue;
            printf("%-28.28s %-12.12s", tool_escape(shown, sizeof shown, name, strlen(name)), tier.name);
            print_streams(&r->layers[l], i);
        }
}

void sim_print_detail(const sim_job *job, const isg_sim_report *r)
{
    uint32_t l;
    int i;
    char shown[200], text[32];
    print_detail_traffic(job, r);
    printf("\n%-28s", "energy by layer and cause");
    for (i = 0; i < ISG_SIM_CAUSES; i++)
        if (r->total.energy_pj[i].typical > 0.0) printf(" %11s", isg_sim_cause_name((isg_sim_cause)i));
    printf(" %10s %10s %10s\n", "ADC", "DAC", "writes");
    for (l = 0; l < r->layer_count; l++) {
        const isg_sim_result *x = &r->layers[l];
        const char *name = job->network->layers[l].name;
        printf("%-28.28s", tool_escape(shown, sizeof shown, name, strlen(name)));
        for (i = 0; i < ISG_SIM_CAUSES; i++)
            if (r->total.energy_pj[i].typical > 0.0)
                printf(" %11s", sim_energy(text, sizeof text, x->energy_pj[i].typical));
        printf(" %10s", sim_count(text, sizeof text, x->adc));
        printf(" %10s", sim_count(text, sizeof text, x->dac));
        printf(" %10s\n", sim_count(text, sizeof text, x->cell_writes));
    }
}

static void print_band_row(const char *name, isg_sim_band b, double all, char *(*form)(char *, size_t, double))
{
    char low[32], typical[32], high[32];
    if (b.high <= 0.0) return;
    printf("  %-12s %12s %5.1f %%", name, form(typical, sizeof typical, b.typical),
           all > 0.0 ? 100.0 * b.typical / all : 0.0);
    if (b.high > b.low * 1.0005) printf("   (%s .. %s)", form(low, sizeof low, b.low), form(high, sizeof high, b.high));
    putchar('\n');
}

static void print_notes(unsigned notes)
{
    int bit;
    for (bit = 0; bit < ISG_SIM_NOTES; bit++)
        if (notes & (1u << bit)) printf("note       %s\n", isg_sim_note_text(1u << bit));
}

void sim_print_report(const sim_job *job, const isg_sim_report *r)
{
    const isg_sim_result *total = &r->total;
    char a[32], b[32];
    int i;
    print_layers(job, r);
    print_traffic(job->profile, total);
    printf("\nenergy by cause\n");
    for (i = 0; i < ISG_SIM_CAUSES; i++)
        print_band_row(isg_sim_cause_name((isg_sim_cause)i), total->energy_pj[i], total->total_pj.typical, sim_energy);
    print_band_row("total", total->total_pj, total->total_pj.typical, sim_energy);
    printf("latency by term (overlapped in each layer; the longest term counts)\n");
    for (i = 0; i < ISG_SIM_TERMS; i++)
        print_band_row(isg_sim_term_name((isg_sim_term)i), total->time_ns[i], total->latency_ns.typical, sim_time);
    print_band_row("pipelined", total->latency_ns, total->latency_ns.typical, sim_time);
    print_band_row("one by one", total->serial_ns, total->latency_ns.typical, sim_time);
    putchar('\n');
    if (total->adc > 0.0 || total->dac > 0.0)
        printf("conversion %s ADC, %s DAC\n", sim_count(a, sizeof a, total->adc), sim_count(b, sizeof b, total->dac));
    if (total->cell_writes > 0.0)
        printf("cells      %s written in every run\n", sim_count(a, sizeof a, total->cell_writes));
    if (total->synaptic_ops > 0.0)
        printf("spikes     %s input spikes, %s synaptic operations (measured)\n", sim_count(a, sizeof a, total->spikes),
               sim_count(b, sizeof b, total->synaptic_ops));
    if (r->load_pj.high > 0.0 || r->load_ns.high > 0.0)
        printf("loading    %s and %s, once a model\n", sim_energy(a, sizeof a, r->load_pj.typical),
               sim_time(b, sizeof b, r->load_ns.typical));
    print_notes(total->notes);
}

void sim_print_ways(const sim_job *job, const isg_sim_report *const reports[], uint32_t count)
{
    char a[32], b[32], c[32], d[32], e[32];
    uint32_t i;
    (void)job;
    printf("\n%-10s %10s %10s %10s %10s %10s %8s\n", "way", "far bytes", "generate", "MACs", "energy", "latency",
           "op/byte");
    for (i = 0; i < count; i++) {
        const isg_sim_result *t = &reports[i]->total;
        printf("%-10s %10s %10s %10s %10s %10s %8.2f\n", isg_sim_mode_name(reports[i]->mode),
               tool_bytes(a, sizeof a, t->far_bytes), sim_count(b, sizeof b, t->generation1 + t->generation2),
               sim_count(c, sizeof c, t->macs), sim_energy(d, sizeof d, t->total_pj.typical),
               sim_time(e, sizeof e, t->latency_ns.typical), t->intensity);
    }
}
