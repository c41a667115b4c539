// Measures what ops take on a back end, by running programs of one kind of op on it: everything that a model's op costs
// there is in the figure, from preparing its inputs to waiting for the last thread.
#pragma once
#include <stop_token>
#include <utility>
#include <vector>

#include "backends/backend.h"
#include "planner/speeds.h"
#include "probe/probe.h"

namespace wallaby::probe {

struct SpeedOptions {
    Loops loops;
    std::vector<quant::Type> formats;                           // of matrices
    std::vector<std::pair<quant::Type, quant::Type>> kv_types;  // of keys and values
    std::string backend = "cpu", isa;                           // what the figures are of, for whoever reads them
    uint32_t n_rounds = 0;      // of which the second quickest of four or five counts; 0: five
    uint64_t stream_bytes = 0;  // weights that are read between two reads of the same; 0: half of read_buffer_bytes
};

struct SpeedReport {
    planner::Speeds speeds;
    Measured before, after;  // the machine's rates around them; speeds.rates are of these and of looks between
};

// Takes about 0.2 s a format and 0.5 s besides, and memory for stream_bytes and 100 MiB.
Result<SpeedReport> measure_speeds(threads::Pool& pool, const backends::Backend& backend, const SpeedOptions& options,
                                   const std::stop_token& stop);

}  // namespace wallaby::probe
