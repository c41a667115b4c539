#include "probe/speeds.h"

#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <optional>

#include "base/processor.h"
#include "base/system.h"
#include "ops/cost.h"
#include "probe/samples.h"

namespace wallaby::probe {
namespace {

constexpr uint32_t n_batch = 256;
// Columns at which matmuls are timed. Up to eight read weights from memory; more multiply what is in the cache.
constexpr std::array<uint32_t, 4> few_columns{1, 2, 4, 8};
constexpr std::array<uint32_t, 3> many_columns{16, 64, n_batch};
constexpr uint64_t wide_weights = 4 << 20;  // of a format, multiplied by many columns
constexpr uint64_t least_stream_bytes = 8 << 20;
// Sanitized kernels are many times slower and their speeds mean nothing: once is enough to see that they can be
// measured.
#ifdef WALLABY_SANITIZED
constexpr uint32_t usual_rounds = 1;
constexpr uint64_t buffers_per_stream = 16;
#else
constexpr uint32_t usual_rounds = 5;
constexpr uint64_t buffers_per_stream = 2;  // of the read probe's, which is eight times the cache
#endif
constexpr uint32_t n_same = 32;           // ops of one kind in a row
constexpr uint32_t small_width = 512;     // of matrices that take hardly longer than waiting
constexpr double least_seconds = 0.0005;  // that programs which find everything in the cache are run for, at a time

// Of several rounds the second quickest of five, as rates are their upper quartile: what usually happens. The quickest
// may have had luck (the same loop can take a third longer from one run to the next), and what is slower was often
// disturbed by the machine's host.
double usual(std::vector<double> seconds) {
    if (seconds.empty()) { return 0; }
    const auto at = seconds.begin() + ptrdiff_t(seconds.size() / 4);
    std::ranges::nth_element(seconds, at);
    return *at;
}

// A compiled model of samples and one sequence of it.
class Bed {
  public:
    static Result<std::unique_ptr<Bed>> create(SampleBuilder builder, const backends::Backend& backend, uint32_t n_ctx,
                                               std::pair<quant::Type, quant::Type> kv, const std::stop_token& stop) {
        std::unique_ptr<Bed> bed(new Bed());
        WALLABY_TRY(bed->built_, std::move(builder).build());
        const backends::Settings settings{n_ctx, 1, n_batch, kv.first, kv.second};
        WALLABY_TRY(const backends::MemoryPlan plan, backend.plan(bed->built_.model, settings));
        WALLABY_OK(backends::check_memory("the probe", plan, base::available_memory(), "Free some memory"));
        WALLABY_TRY(bed->executable_,
                    backend.compile(
                        bed->built_.model, *bed->built_.source, plan, [](uint64_t, uint64_t) {}, stop));
        bed->pages_.resize(kv::pages_for(n_ctx));
        std::iota(bed->pages_.begin(), bed->pages_.end(), 0);
        if (plan.n_slots != 0) { bed->slot_ = 0; }
        return bed;
    }

    const ops::Model& model() const { return built_.model; }

    // Seconds of one run of n rows from position `at` on.
    Result<double> time(uint32_t program, uint32_t n_rows, uint32_t at, const std::stop_token& stop) {
        backends::Batch batch;
        for (uint32_t i = 0; i < n_rows; i++) {
            batch.rows.push_back({int32_t((at + 7 * i) % sample_width), at + i, 0, i + 1 == n_rows});
        }
        batch.sequences.push_back({pages_, kv::no_slot, slot_});
        const double start = base::monotonic_seconds();
        WALLABY_OK(executable_->run(program, batch, logits_, stop));
        return base::monotonic_seconds() - start;
    }
    // The least of several runs.
    Result<double> time_often(uint32_t program, uint32_t n_rows, const std::stop_token& stop) {
        std::vector<double> seconds;
        for (double all = 0; all < least_seconds || seconds.size() < 3; all += seconds.back()) {
            WALLABY_TRY(const double one, time(program, n_rows, 0, stop));
            seconds.push_back(one);
        }
        return *std::ranges::min_element(seconds);  // microseconds: nobody disturbs all of them
    }

  private:
    Bed() = default;
    SampleBuilder::Built built_;
    std::unique_ptr<backends::Executable> executable_;
    std::vector<kv::PageId> pages_;
    kv::SlotId slot_ = kv::no_slot;  // of recurrent states, where there are any: each run begins anew
    std::vector<float> logits_ = std::vector<float>(sample_width);
};

// What is left of a time without what was found to belong to something else. On a busy machine that can seem to be all
// of it; nothing that was done takes no time.
double left_of(double seconds, double other) { return std::max(seconds - other, seconds / 20); }

// Times by what was run, of several rounds.
using Times = std::map<std::pair<uint32_t, uint32_t>, std::vector<double>>;  // by program and rows

// Programs of matmuls, and what one of each does.
struct Stream {
    uint32_t program = 0;
    uint64_t n_weights = 0;
    uint32_t n_steps = 0;
};

class Matmuls {
  public:
    Matmuls(const SpeedOptions& options, uint64_t stream_bytes) : formats_(options.formats) {
        // Another format stands in where there is one alone: waiting is found from two sizes of matrices.
        const uint64_t n_bytes = std::max(stream_bytes / (formats_.size() + 1), least_stream_bytes);
        empty_ = builder_.end(builder_.begin("empty"));
        for (const quant::Type type : formats_) {
            streams_.push_back(chain(type, n_bytes, sample_width));
            wide_.push_back(first_of(streams_.back()));
        }
        large_ = chain(quant::Type::q8_0, n_bytes / 2, sample_width);
        small_ = chain(quant::Type::q8_0, n_bytes / 2, small_width);
    }

    // look: called in every other round.
    template <class Look>
    Result<void> measure(const backends::Backend& backend, uint32_t n_rounds, const Look& look,
                         const std::stop_token& stop) {
        WALLABY_TRY(const auto bed,
                    Bed::create(std::move(builder_), backend, n_batch, {quant::Type::f16, quant::Type::f16}, stop));
        for (uint32_t round = 0; round <= n_rounds; round++) {  // the first touches everything and does not count
            Times& times = round == 0 ? unused_ : times_;
            WALLABY_TRY(const double empty, bed->time_often(empty_, 1, stop));
            times[{empty_, 1}].push_back(empty);
            // Formats take turns, so that none finds its weights in the cache.
            for (const uint32_t n_columns : few_columns) {
                for (const Stream& s : streams_) { WALLABY_OK(run(*bed, s, n_columns, times, stop)); }
                for (const Stream* s : {&large_, &small_}) { WALLABY_OK(run(*bed, *s, n_columns, times, stop)); }
            }
            for (const uint32_t n_columns : many_columns) {
                if (round < std::min(2u, n_rounds)) { continue; }  // they take the most time
                for (const Stream& s : wide_) { WALLABY_OK(run(*bed, s, n_columns, times, stop)); }
            }
            if (round % 2 == 0 && round != 0) { WALLABY_OK(look()); }
        }
        return {};
    }

    void write(planner::Speeds& out) const {
        out.run_seconds = seconds_of(empty_, 1);
        // t = run + n_steps * wait + n_weights * s, of both
        const double large = seconds_of(large_.program, 1) - out.run_seconds;
        const double small = seconds_of(small_.program, 1) - out.run_seconds;
        const double share = double(small_.n_weights) / double(large_.n_weights);
        out.wait_seconds = std::max(0.0, (small - share * large) / (small_.n_steps - share * large_.n_steps));
        for (size_t i = 0; i < formats_.size(); i++) {
            planner::Curve& curve = out.matmul[formats_[i]];
            for (const uint32_t n : few_columns) {
                curve.points.push_back({double(n), per_weight(streams_[i], n, out)});
            }
            for (const uint32_t n : many_columns) { curve.points.push_back({double(n), per_weight(wide_[i], n, out)}); }
        }
    }

  private:
    Stream chain(quant::Type type, uint64_t n_bytes, uint32_t width) {
        Stream s;
        ops::ValueId v = builder_.begin(fmt::format("{} {}", quant::format_of(type).name, width));
        const auto step = [&](uint32_t n_in, uint32_t n_out) {
            v = builder_.matmul(v, builder_.matrix(type, n_in, n_out));
            s.n_weights += uint64_t(n_in) * n_out;
            s.n_steps++;
        };
        const quant::Format& format = quant::format_of(type);
        const auto bytes = [&] { return s.n_weights / format.block_len * format.block_bytes; };
        if (width != sample_width) { step(sample_width, width); }
        do { step(width, width); } while (bytes() < n_bytes);
        if (width != sample_width) { step(width, sample_width); }
        s.program = builder_.end(v);
        return s;
    }
    // A program of a stream's first matrices.
    Stream first_of(const Stream& whole) {
        Stream s;
        ops::ValueId v = builder_.begin("wide");
        const uint32_t n = uint32_t(std::min<uint64_t>(
            whole.n_steps, std::max<uint64_t>(1, wide_weights / (uint64_t(sample_width) * sample_width))));
        for (; s.n_steps < n; s.n_steps++) {
            v = builder_.matmul(v, builder_.weight_of(whole.program, s.n_steps));
            s.n_weights += uint64_t(sample_width) * sample_width;
        }
        s.program = builder_.end(v);
        return s;
    }
    static Result<void> run(Bed& bed, const Stream& s, uint32_t n_columns, Times& times, const std::stop_token& stop) {
        WALLABY_TRY(const double seconds, bed.time(s.program, n_columns, 0, stop));
        times[{s.program, n_columns}].push_back(seconds);
        return {};
    }
    double seconds_of(uint32_t program, uint32_t n_columns) const { return usual(times_.at({program, n_columns})); }
    double per_weight(const Stream& s, uint32_t n_columns, const planner::Speeds& out) const {
        const double other = out.run_seconds + s.n_steps * out.wait_seconds;
        return left_of(seconds_of(s.program, n_columns), other) / double(s.n_weights);
    }

    std::vector<quant::Type> formats_;
    SampleBuilder builder_;
    uint32_t empty_ = 0;
    std::vector<Stream> streams_, wide_;  // by format
    Stream large_, small_;
    Times times_, unused_;
};

// Ops that go row by row: a program for each kind.
class RowOps {
  public:
    RowOps() {
        empty_ = builder_.end(builder_.begin("empty"));
        const auto same = [&](ops::Spec spec, bool takes_two, ops::WeightId weight = ops::none) {
            ops::ValueId v = builder_.begin(std::string(ops::name_of(spec)));
            for (uint32_t i = 0; i < n_same; i++) {
                ops::Op op{spec};
                op.in = {v, takes_two ? v : ops::none};
                op.weight[0] = weight;
                v = builder_.add(op, sample_width);
            }
            end(v);
        };
        using Kind = ops::Pointwise::Kind;
        same(ops::Norm{ops::Norm::Kind::rms, 1e-5f, sample_width}, false, builder_.gains(sample_width));
        same(ops::Rope{ops::Rope::Kind::halves, head, head, builder_.rope_table(head)}, false);
        same(ops::Gate{ops::Gate::Act::silu}, true);
        same(ops::Pointwise{Kind::add}, true);
        same(ops::Pointwise{Kind::silu}, false);
        same(ops::Pointwise{Kind::gelu_tanh}, false);
        same(ops::Pointwise{Kind::softcap, 30}, false);
        add_embeds();
        add_routes();
        add_combines();
        add_appends();
    }

    Result<void> measure(const backends::Backend& backend, uint32_t n_rounds, const std::stop_token& stop) {
        WALLABY_TRY(bed_,
                    Bed::create(std::move(builder_), backend, n_batch, {quant::Type::f16, quant::Type::f16}, stop));
        for (uint32_t round = 0; round < n_rounds; round++) {
            for (const uint32_t n_rows : {1u, n_batch}) {
                for (uint32_t program = 0; program < bed_->model().programs.size(); program++) {
                    WALLABY_TRY(const double seconds, bed_->time_often(program, n_rows, stop));
                    times_[{program, n_rows}].push_back(seconds);
                }
            }
        }
        return {};
    }

    void write(planner::Speeds& out) const {
        for (const uint32_t program : programs_) {
            const std::string& name = bed_->model().programs[program].name;
            out.rows[name] = {per_byte(program, 1), per_byte(program, n_batch)};
        }
        out.rows["select"] = out.rows["add"];  // both copy; an output's row is not worth a figure of its own
    }

  private:
    static constexpr uint32_t head = 64, n_kv_heads = 8, n_expert = 64, n_used = 4;

    void end(ops::ValueId v) { programs_.push_back(builder_.end(v)); }
    void add_embeds() {
        const ops::ValueId v = builder_.begin("embed");
        for (uint32_t i = 0; i < n_same; i++) { builder_.embed(sample_width); }
        end(v);
    }
    void add_routes() {
        const ops::ValueId v = builder_.begin("route");
        const ops::ValueId logits = builder_.embed(n_expert);
        for (uint32_t i = 0; i < n_same; i++) {
            ops::Op op{ops::Route{n_expert, n_used}};
            op.in[0] = logits;
            op.out = {builder_.value(n_used, true), builder_.value(n_used)};
            builder_.add_bare(op);
        }
        end(v);
    }
    void add_combines() {
        const ops::ValueId v = builder_.begin("combine");
        const ops::ValueId weights = builder_.embed(n_used);
        for (uint32_t i = 0; i < n_same; i++) {
            ops::Op op{ops::Combine{n_used}};
            op.in = {v, weights};
            builder_.add(op, sample_width / n_used);
        }
        end(v);
    }
    void add_appends() {
        const ops::ValueId v = builder_.begin("append");
        const ops::ValueId kv = builder_.embed(n_kv_heads * head);
        for (uint32_t i = 0; i < n_same; i++) {
            ops::Op op{ops::Append{}};
            op.in = {kv, kv};
            op.state = builder_.kv_state(n_kv_heads, head);
            builder_.add_bare(op);
        }
        end(v);
    }
    double per_byte(uint32_t program, uint32_t n_rows) const {
        const ops::Model& model = bed_->model();
        const auto value_bytes = [&](uint32_t p) {
            uint64_t n = 0;
            for (const ops::Op& op : model.programs[p].ops) {
                const ops::Extent extent{{{0, n_rows, 1}}};
                n += ops::cost(model, model.programs[p], op, extent, quant::Type::f16, quant::Type::f16).value_bytes;
            }
            return double(n);
        };
        const double seconds = left_of(usual(times_.at({program, n_rows})), usual(times_.at({empty_, n_rows})));
        return seconds / (value_bytes(program) - value_bytes(empty_));
    }

    SampleBuilder builder_;
    uint32_t empty_ = 0;
    std::vector<uint32_t> programs_;
    std::unique_ptr<Bed> bed_;
    Times times_;
};

// Ops with a state of fixed size: what they do goes with that, not with the rows' width. Of Mamba-2 130M's sizes.
Result<void> measure_recurrent(const backends::Backend& backend, uint32_t n_rounds, planner::Speeds& out,
                               const std::stop_token& stop) {
    constexpr uint32_t taps = 4, n_ops = 2, n_together = 64;  // few: scans are slow
    constexpr ops::Scan scan{.n_heads = 24, .head = 64, .d_state = 128, .n_groups = 1};
    constexpr uint32_t scanned = scan.n_heads * scan.head, scan_width = scanned + 2 * scan.n_groups * scan.d_state;
    SampleBuilder builder;
    const uint32_t empty = builder.end(builder.begin("empty"));
    ops::ValueId v = builder.begin("conv");
    for (uint32_t i = 0; i < n_ops; i++) {
        ops::Op op{ops::Conv{taps}};
        op.in[0] = v;
        op.weight[0] = builder.vector(".ssm_conv1d.weight", taps * sample_width);
        op.state = builder.recurrent_state(uint64_t(taps - 1) * sample_width);
        v = builder.add(op, sample_width);
    }
    const uint32_t conv_program = builder.end(v);
    v = builder.begin("scan");
    const ops::ValueId x = builder.embed(scan_width), steps = builder.embed(scan.n_heads);
    for (uint32_t i = 0; i < n_ops; i++) {
        ops::Op op{scan};
        op.in = {x, steps};
        op.weight = {builder.vector(".ssm_a", scan.n_heads), builder.vector(".ssm_d", scan.n_heads),
                     builder.vector(".ssm_dt.bias", scan.n_heads)};
        op.state = builder.recurrent_state(uint64_t(scanned) * scan.d_state);
        builder.add(op, scanned);
    }
    const uint32_t scan_program = builder.end(v);
    WALLABY_TRY(const auto bed,
                Bed::create(std::move(builder), backend, n_batch, {quant::Type::f16, quant::Type::f16}, stop));
    Times times;
    for (uint32_t round = 0; round < n_rounds; round++) {
        for (const uint32_t n_rows : {1u, n_together}) {
            for (const uint32_t program : {empty, conv_program, scan_program}) {
                WALLABY_TRY(const double seconds, bed->time_often(program, n_rows, stop));
                times[{program, n_rows}].push_back(seconds);
            }
        }
    }
    const auto per_mac = [&](uint32_t program, uint32_t n_rows) {
        const ops::Program& p = bed->model().programs[program];
        uint64_t macs = 0;
        for (const ops::Op& op : p.ops) {
            if (op.state == ops::none) { continue; }
            macs += ops::cost(bed->model(), p, op, {{{0, n_rows, 1}}}, quant::Type::f16, quant::Type::f16).macs;
        }
        return left_of(usual(times.at({program, n_rows})), usual(times.at({empty, n_rows}))) / double(macs);
    };
    for (const uint32_t program : {conv_program, scan_program}) {
        out.rows[bed->model().programs[program].name] = {per_mac(program, 1), per_mac(program, n_together)};
    }
    return {};
}

// A layer's attention, many times over: rows that share what they read, then one row that reads it all.
Result<planner::AttendSpeed> measure_attend(const backends::Backend& backend, std::pair<quant::Type, quant::Type> kv,
                                            const planner::Speeds& known, uint32_t n_rounds,
                                            const std::stop_token& stop) {
    // A row alone reads so many layers that none is in the cache; rows together multiply, and a few layers will do.
    constexpr uint32_t head = 128, n_heads = 16, n_kv_heads = 4, n_layers = 24, n_wide_layers = 4, depth = 768;
    SampleBuilder builder;
    std::vector<ops::StateId> states;
    for (uint32_t i = 0; i < n_layers; i++) { states.push_back(builder.kv_state(n_kv_heads, head)); }
    // Appends to every layer, and attends to the first n_attends.
    const auto program_of = [&](uint32_t n_attends) {
        ops::ValueId v = builder.begin("attend");
        const ops::ValueId row = builder.embed(n_kv_heads * head);
        for (uint32_t i = 0; i < n_layers; i++) {
            ops::Op append{ops::Append{}};
            append.in = {row, row};
            append.state = states[i];
            builder.add_bare(append);
            if (i >= n_attends) { continue; }
            ops::Op attend{ops::Attend{n_heads, head, 0.1f}};
            attend.in[0] = v;
            attend.state = states[i];
            v = builder.add(attend, sample_width);
        }
        return builder.end(v);
    };
    const uint32_t appends = program_of(0);
    struct Case {
        uint32_t program, n_attends, n_rows, at, n_rounds;
        std::vector<double> without = {}, with = {};  // seconds
    };
    Case one{program_of(n_layers), n_layers, 1, depth + n_batch - 1, n_rounds};
    Case many{program_of(n_wide_layers), n_wide_layers, n_batch, depth,
              std::min(n_rounds, 3u)};  // a tenth of a second each
    WALLABY_TRY(const auto bed, Bed::create(std::move(builder), backend, depth + n_batch, kv, stop));
    for (uint32_t at = 0; at < depth; at += n_batch) { WALLABY_OK(bed->time(appends, n_batch, at, stop)); }
    for (Case* c : {&many, &one}) {
        for (uint32_t round = 0; round < c->n_rounds; round++) {
            WALLABY_TRY(const double without, bed->time(appends, c->n_rows, c->at, stop));
            WALLABY_TRY(const double with, bed->time(c->program, c->n_rows, c->at, stop));
            c->without.push_back(without);
            c->with.push_back(with);
        }
    }
    const auto seconds_of = [&](const Case& c) {
        return left_of(usual(c.with), usual(c.without) + c.n_attends * known.wait_seconds) / c.n_attends;
    };
    const auto cost_of = [&](const Case& c) {
        const ops::Program& p = bed->model().programs[c.program];
        const ops::Extent extent{{{c.at, c.n_rows, 1}}};
        const auto op =
            std::ranges::find_if(p.ops, [](const ops::Op& o) { return std::holds_alternative<ops::Attend>(o.spec); });
        return ops::cost(bed->model(), p, *op, extent, kv.first, kv.second);
    };
    return planner::AttendSpeed{seconds_of(one) / double(cost_of(one).state_read),
                                seconds_of(many) / double(cost_of(many).macs)};
}

}  // namespace

Result<SpeedReport> measure_speeds(threads::Pool& pool, const backends::Backend& backend, const SpeedOptions& options,
                                   const std::stop_token& stop) {
    SpeedReport report;
    planner::Speeds& out = report.speeds;
    out.backend = options.backend;
    out.isa = options.isa;
    out.n_threads = pool.size();
    Options probe_options;
    probe_options.loops = options.loops;
    WALLABY_TRY(report.before, measure(pool, probe_options, stop));

    const uint64_t stream_bytes =
        options.stream_bytes != 0 ? options.stream_bytes
                                  : read_buffer_bytes(base::l3_bytes(), base::available_memory()) / buffers_per_stream;
    const uint32_t n_rounds = options.n_rounds != 0 ? options.n_rounds : usual_rounds;
    Matmuls matmuls(options, stream_bytes);
    std::vector<planner::Rates> looks{report.before.median};
    const auto look = [&]() -> Result<void> {
        Options quick = probe_options;
        quick.seconds = 0.01;
        quick.n_repetitions = 3;
        WALLABY_TRY(const Measured measured, measure(pool, quick, stop));
        looks.push_back(measured.median);
        return {};
    };
    WALLABY_OK(matmuls.measure(backend, n_rounds, look, stop));
    matmuls.write(out);
    RowOps rows;
    WALLABY_OK(rows.measure(backend, std::min(n_rounds, 3u), stop));
    rows.write(out);
    WALLABY_OK(measure_recurrent(backend, n_rounds, out, stop));
    for (const auto& kv : options.kv_types) {
        WALLABY_TRY(out.attend[kv], measure_attend(backend, kv, out, n_rounds, stop));
    }
    WALLABY_TRY(report.after, measure(pool, probe_options, stop));
    looks.push_back(report.after.median);
    out.rates = planner::quantile(looks, 0.75);
    return report;
}

}  // namespace wallaby::probe
