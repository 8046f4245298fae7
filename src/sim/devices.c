/* SPDX-License-Identifier: Apache-2.0 */
/* Closed formulas of devices: converters, lasers, rings, SRAM (RELATED sections 3.2 and 3.3). */
#include "sim/cost.h"

#include <math.h>

/* FOMs = min(213.78 - 2.872 ln f, 128.31 + 3.2205 ceil(b)), f in Hz; the survey's regression, Accelergy's ADC plug-in.
 */
double isgi_adc_energy(double bits, double rate, double node)
{
    const double merit = fmin(213.78 - 2.872 * log(rate * 1e9), 128.31 + 3.2205 * ceil(bits));
    const double limit = 0.5 / pow(10, (merit - 6.02 * bits - 1.76) / 10);
    return limit * exp(26.0496 + 1.8800 * log(node) - 2.8291 * log(bits) - 1.4702);
}

double isgi_laser_power(double loss, double sensitivity, double fanout, double bits, double extinction,
                        double efficiency)
{
    const double light = pow(10, (loss + sensitivity + 10 * log10(fanout)) / 10);
    return light / efficiency * pow(2, bits) / (1 - pow(10, -extinction / 10));
}

double isgi_laser_power_lines(double loss, double sensitivity, double lines)
{
    return pow(10, (sensitivity + loss + 10 * log10(lines)) / 10);
}

double isgi_ring_levels(double q, double fsr, double wavelength, int rings)
{
    const double d = wavelength / (2 * q), spacing = fsr / rings;
    double worst = 0;
    for (int i = 0; i < rings; i++) {
        double noise = 0;
        for (int j = 0; j < rings; j++) {
            const double apart = (i - j) * spacing;
            if (j != i) noise += d * d / (apart * apart + d * d);
        }
        worst = fmax(worst, noise);
    }
    return worst > 0 ? 1 / worst : INFINITY;
}

double isgi_sram_read64(double node, double bytes)
{
    /* Middle of the ratio of each run's points to the square root; every one of the 24 lies within 25 % of it. */
    const double at_8k = node == 45 ? 3.87 : node == 32 ? 1.86 : node == 22 ? 1.23 : NAN;
    return at_8k * sqrt(bytes / 8192);
}
