// How `wallaby bench` prints: llama-bench's names and forms, and what only we measure after them.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench/plan.h"
#include "planner/limit.h"
#include "planner/predict.h"
#include "probe/probe.h"

namespace wallaby::cli {

// One test done.
struct BenchRow {
    std::string model_filename, model_type, backend, isa;
    bool use_mmap = false;
    uint64_t model_size = 0, model_n_params = 0;  // bytes and weights of the tensors
    uint32_t n_batch = 0, n_threads = 0;
    quant::Type k_type = quant::Type::f16, v_type = quant::Type::f16;
    bench::Test test;
    std::string test_time;        // when it began, UTC
    std::vector<double> seconds;  // of each repetition
    planner::Limit limit;
    std::optional<planner::Prediction> prediction;               // at the same probe's rates
    std::optional<probe::Measured> probe;                        // average of before and after
    std::optional<double> load_seconds_cold, load_seconds_warm;  // nothing: was not measured
    uint64_t peak_rss_bytes = 0, planned_bytes = 0, planned_rss_bytes = 0;
};

// Prints rows as they come, each format whole at every row's end but for JSON's closing bracket.
class BenchOutput {
  public:
    // format: md, csv, json, jsonl. lists: which columns of the table differ from what is usual.
    BenchOutput(std::string format, const bench::Lists& lists);
    bool row(const BenchRow& row);
    bool end();

  private:
    using Json = nlohmann::ordered_json;
    std::string markdown(const Json& row) const;
    std::string heading() const;

    std::string format_;
    std::vector<size_t> columns_;  // of the table, by index
    bool is_begun_ = false;
};

}  // namespace wallaby::cli
