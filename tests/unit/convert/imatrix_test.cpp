#include "convert/imatrix.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "support/gguf_bytes.h"
#include "support/memory_sink.h"
#include "support/runner.h"

namespace {

using namespace wallaby;
using namespace wallaby::convert;
using namespace wallaby::testing;
using Bytes = std::vector<uint8_t>;

constexpr uint32_t chunk_size = 8;  // of .dat files

Result<Imatrix> read(const Bytes& bytes) {
    return read_imatrix(std::make_unique<base::MemorySource>(bytes, "file"), chunk_size);
}

std::string message_of(const Bytes& bytes) {
    const auto result = read(bytes);
    return result.ok() ? "" : result.error().message();
}

Bytes written(const Imatrix& imatrix, ImatrixFormat format) {
    MemorySink::Seen seen;
    const auto result = write_imatrix(imatrix, format, std::make_unique<MemorySink>(seen));
    EXPECT_TRUE(result.ok()) << result.error().message();
    EXPECT_TRUE(seen.committed);
    return std::move(seen.bytes);
}

// Two matrices, and three experts of which one was never asked.
Imatrix some() {
    return {"some",
            {{"blk.0.attn_q.weight", {2, 4, 8}, {2}}, {"blk.0.ffn_up_exps.weight", {3, 6, 0, 0, 5, 10}, {3, 0, 5}}},
            {"a text", "another text"},
            7,
            8};
}

void expect_same(const Imatrix& a, const Imatrix& b) {
    ASSERT_EQ(a.tensors.size(), b.tensors.size());
    for (size_t i = 0; i < a.tensors.size(); i++) {
        EXPECT_EQ(a.tensors[i].name, b.tensors[i].name);
        EXPECT_EQ(a.tensors[i].squares, b.tensors[i].squares);
        EXPECT_EQ(a.tensors[i].counts, b.tensors[i].counts);
    }
    EXPECT_EQ(a.datasets, b.datasets);
    EXPECT_EQ(a.n_chunks, b.n_chunks);
    EXPECT_EQ(a.chunk_size, b.chunk_size);
    ASSERT_EQ(a.sensitivities.size(), b.sensitivities.size());
    for (size_t i = 0; i < a.sensitivities.size(); i++) {
        EXPECT_EQ(a.sensitivities[i].name, b.sensitivities[i].name);
        EXPECT_EQ(a.sensitivities[i].value, b.sensitivities[i].value);
    }
}

// As llama.cpp writes it, byte by byte.
class DatBytes {
  public:
    template <class T>
    DatBytes& put(T value) {
        const auto* bytes = reinterpret_cast<const uint8_t*>(&value);
        bytes_.insert(bytes_.end(), bytes, bytes + sizeof(value));
        return *this;
    }
    DatBytes& text(std::string_view s) {
        put(int32_t(s.size()));
        bytes_.insert(bytes_.end(), s.begin(), s.end());
        return *this;
    }
    DatBytes& entry(std::string_view name, int32_t n_calls, const std::vector<float>& values) {
        text(name).put(n_calls).put(int32_t(values.size()));
        for (const float v : values) { put(v); }
        return *this;
    }
    operator const Bytes&() const { return bytes_; }

  private:
    Bytes bytes_;
};

DatBytes dat_entries() { return DatBytes().put(int32_t(2)).entry("b", 3, {3, 6}).entry("a", 2, {1, 0, 4}); }

GgufBytes gguf_keys() {
    GgufBytes file;
    file.kv("general.type", "imatrix").array("imatrix.datasets", std::vector<std::string>{"t"});
    file.kv("imatrix.chunk_count", uint32_t(1)).kv("imatrix.chunk_size", uint32_t(4));
    return file;
}

TEST(ConvertImatrix, FactorsAreMeanSquares) {
    EXPECT_EQ(importance_of({"w", {2, 4, 8}, {2}}), (std::vector<float>{1, 2, 4}));
    // A matrix without a row has 1 throughout, one count is that of every matrix.
    EXPECT_EQ(importance_of({"w", {3, 6, 0, 0, 5, 10}, {3, 0, 5}}), (std::vector<float>{1, 2, 1, 1, 1, 2}));
    EXPECT_EQ(importance_of({"w", {3, 6, 0, 0, 5, 10}, {2}}), (std::vector<float>{1.5, 3, 0, 0, 2.5, 5}));
}

TEST(ConvertImatrix, GgufIsReadAsItWasWritten) {
    expect_same(must(read(written(some(), ImatrixFormat::gguf))), some());
}

// Keys, names, types and shapes as llama.cpp's tools look for them.
TEST(ConvertImatrix, GgufIsLlamaCpps) {
    const Bytes bytes = written(some(), ImatrixFormat::gguf);
    const auto file = must(gguf::open_gguf(std::make_unique<base::MemorySource>(bytes, "file")));
    EXPECT_EQ(must(file->metadata().string("general.type")), "imatrix");
    EXPECT_EQ(must(file->metadata().strings("imatrix.datasets")).size(), 2u);
    EXPECT_EQ(file->metadata().find("imatrix.chunk_count")->type, gguf::ValueType::u32);
    EXPECT_EQ(must(file->metadata().u32("imatrix.chunk_count")), 7u);
    EXPECT_EQ(file->metadata().find("imatrix.chunk_size")->type, gguf::ValueType::u32);
    EXPECT_EQ(must(file->metadata().u32("imatrix.chunk_size")), 8u);
    const gguf::Tensor* sums = file->find("blk.0.ffn_up_exps.weight.in_sum2");
    const gguf::Tensor* counts = file->find("blk.0.ffn_up_exps.weight.counts");
    ASSERT_TRUE(sums != nullptr && counts != nullptr);
    EXPECT_EQ(sums->dims, (std::array<uint64_t, 4>{2, 3, 1, 1}));
    EXPECT_EQ(counts->dims, (std::array<uint64_t, 4>{1, 3, 1, 1}));
    EXPECT_EQ(must(gguf::read_floats(*file, *sums, 6)), (std::vector<float>{3, 6, 0, 0, 5, 10}));
    EXPECT_EQ(must(gguf::read_floats(*file, *counts, 3)), (std::vector<float>{3, 0, 5}));
}

TEST(ConvertImatrix, DatFilesOfThreeAges) {
    DatBytes file = dat_entries();
    const auto check = [](const Bytes& bytes, uint32_t n_chunks, const std::vector<std::string>& datasets) {
        const Imatrix read_back = must(read(bytes));
        ASSERT_EQ(read_back.tensors.size(), 2u);
        EXPECT_EQ(read_back.tensors[0].name, "a");
        EXPECT_EQ(importance_of(read_back.tensors[0]), (std::vector<float>{0.5, 0, 2}));
        EXPECT_EQ(read_back.tensors[1].counts, (std::vector<uint64_t>{3 * chunk_size}));
        EXPECT_EQ(importance_of(read_back.tensors[1]), (std::vector<float>{1, 2}));
        EXPECT_EQ(read_back.n_chunks, n_chunks);
        EXPECT_EQ(read_back.chunk_size, chunk_size);
        EXPECT_EQ(read_back.datasets, datasets);
    };
    check(file, 3, {});
    check(file.put(int32_t(11)), 11, {});
    check(file.text("wiki"), 11, {"wiki"});
    check(DatBytes(dat_entries()).put(int32_t(11)).text(""), 11, {});
}

TEST(ConvertImatrix, DatIsLlamaCpps) {
    // n_calls is the most rows of a matrix over the chunk's length, rounded up.
    const DatBytes expected = DatBytes()
                                  .put(int32_t(2))
                                  .entry("blk.0.attn_q.weight", 1, {1, 2, 4})
                                  .entry("blk.0.ffn_up_exps.weight", 1, {1, 2, 1, 1, 1, 2})
                                  .put(int32_t(7))
                                  .text("another text");
    EXPECT_EQ(written(some(), ImatrixFormat::dat), static_cast<const Bytes&>(expected));
    Imatrix more = some();
    more.tensors[0].counts = {17};
    more.tensors[1].counts = {0, 0, 0};  // never read at all: left out
    const Imatrix read_back = must(read(written(more, ImatrixFormat::dat)));
    ASSERT_EQ(read_back.tensors.size(), 1u);
    EXPECT_EQ(read_back.tensors[0].counts, (std::vector<uint64_t>{3 * chunk_size}));
    const auto factors = importance_of(read_back.tensors[0]);
    for (size_t i = 0; i < 3; i++) { EXPECT_FLOAT_EQ(factors[i], float(more.tensors[0].squares[i] / 17)); }
}

TEST(ConvertImatrix, AddingIsReadingBothTexts) {
    Imatrix sum;
    must(add(sum, some()).ok() ? Result<int>(0) : Error{});
    Imatrix other = some();
    other.tensors[1].name = "blk.1.attn_q.weight";  // not there yet
    other.tensors[0].squares = {1, 1, 1};
    other.n_chunks = 3;
    other.chunk_size = 4;  // 12 tokens: one chunk and a half of ours
    other.datasets = {"a text", "a third"};
    ASSERT_TRUE(add(sum, other).ok());
    ASSERT_EQ(sum.tensors.size(), 3u);
    EXPECT_EQ(sum.find("blk.0.attn_q.weight")->squares, (std::vector<double>{3, 5, 9}));
    EXPECT_EQ(sum.find("blk.0.attn_q.weight")->counts, (std::vector<uint64_t>{4}));
    EXPECT_EQ(sum.find("blk.0.ffn_up_exps.weight")->squares, some().tensors[1].squares);
    EXPECT_NE(sum.find("blk.1.attn_q.weight"), nullptr);
    EXPECT_EQ(sum.n_chunks, 9u);
    EXPECT_EQ(sum.chunk_size, 8u);
    EXPECT_EQ(sum.datasets, (std::vector<std::string>{"a text", "another text", "a third"}));
}

// A .dat file has one count for all experts.
TEST(ConvertImatrix, OneCountIsThatOfEveryExpert) {
    for (const bool one_first : {true, false}) {
        Imatrix one = some(), each = some();
        one.tensors[1].counts = {4};
        Imatrix& sum = one_first ? one : each;
        ASSERT_TRUE(add(sum, one_first ? each : one).ok());
        EXPECT_EQ(sum.tensors[1].counts, (std::vector<uint64_t>{7, 4, 9}));
        EXPECT_EQ(sum.tensors[1].squares, (std::vector<double>{6, 12, 0, 0, 10, 20}));
    }
}

TEST(ConvertImatrix, OtherSizesDoNotAddUp) {
    for (const auto& edit : std::initializer_list<std::function<void(InputSums&)>>{
             [](InputSums& t) { t.squares.resize(12); }, [](InputSums& t) { t.counts.resize(2); }}) {
        Imatrix sum = some(), other = some();
        edit(other.tensors[1]);
        const auto added = add(sum, other);
        ASSERT_FALSE(added.ok());
        EXPECT_EQ(added.error().where.field, "tensor 'blk.0.ffn_up_exps.weight'");
        expect_same(sum, some());
    }
}

// Of the token embedding too, which has no sums.
TEST(ConvertImatrix, SensitivitiesAreKeptAndNotAddedUp) {
    Imatrix measured = some();
    measured.sensitivities = {{"blk.0.attn_q.weight", 0.25}, {"token_embd.weight", 3}};
    const Imatrix again = must(read(written(measured, ImatrixFormat::gguf)));
    expect_same(again, measured);
    EXPECT_EQ(again.sensitivity_of("token_embd.weight"), 3);
    EXPECT_EQ(again.sensitivity_of("output.weight"), 0);
    EXPECT_TRUE(must(read(written(measured, ImatrixFormat::dat))).sensitivities.empty());
    Imatrix sum;
    ASSERT_TRUE(add(sum, measured).ok());
    expect_same(sum, [&] {
        Imatrix first = measured;
        first.file = sum.file;
        return first;
    }());
    ASSERT_TRUE(add(sum, some()).ok());
    EXPECT_TRUE(sum.sensitivities.empty());

    const auto broken = [](float value, std::vector<uint64_t> dims) {
        GgufBytes file;
        file.kv("general.type", "imatrix").kv("imatrix.chunk_count", 1u).kv("imatrix.chunk_size", 8u);
        file.tensor_f32("a.in_sum2", {2}, {1, 2}).tensor_f32("a.counts", {1}, {1});
        file.tensor_f32("a.sensitivity", dims, std::vector<float>(dims[0], value));
        return message_of(file.build());
    };
    EXPECT_EQ(broken(0.5, {1}), "");
    for (const float value : {-1.0f, std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
        EXPECT_NE(broken(value, {1}).find("a.sensitivity"), std::string::npos) << value;
    }
    EXPECT_NE(broken(1, {2}).find("not one F32 number"), std::string::npos);
}

TEST(ConvertImatrix, SelectsByPartsOfNames) {
    const std::vector<std::string> words{"attn_q", "ffn_gate"};
    Imatrix in = some(), out = some();
    select(in, words, true);
    select(out, words, false);
    ASSERT_EQ(in.tensors.size(), 1u);
    EXPECT_EQ(in.tensors[0].name, "blk.0.attn_q.weight");
    ASSERT_EQ(out.tensors.size(), 1u);
    EXPECT_EQ(out.tensors[0].name, "blk.0.ffn_up_exps.weight");
}

TEST(ConvertImatrix, CutAtEveryByte) {
    const Bytes gguf = written(some(), ImatrixFormat::gguf);
    const gguf::Tensor last =
        must(gguf::open_gguf(std::make_unique<base::MemorySource>(gguf, "file")))->tensors().back();
    for (size_t n = 0; n < last.offset + last.n_bytes; n++) {  // behind it is padding
        EXPECT_FALSE(read({gguf.begin(), gguf.begin() + std::ptrdiff_t(n)}).ok()) << n;
    }
    const DatBytes entries = dat_entries();
    const Bytes dat = DatBytes(entries).put(int32_t(11)).text("wiki");
    const size_t n_entry_bytes = static_cast<const Bytes&>(entries).size();
    for (size_t n = 0; n < dat.size(); n++) {
        const bool is_older = n == n_entry_bytes || n == n_entry_bytes + 4;  // and whole
        EXPECT_EQ(read({dat.begin(), dat.begin() + std::ptrdiff_t(n)}).ok(), is_older) << n;
    }
}

// Each number of a .dat file as the largest, the smallest and some others: read, or refused; never more memory than the
// file has bytes for.
TEST(ConvertImatrix, DatNumbersThatLie) {
    const Bytes dat = DatBytes(dat_entries()).put(int32_t(11)).text("wiki");
    const size_t a_name = 4, a_calls = 9, a_values = 13, n_chunks = dat.size() - 12, dataset = dat.size() - 8;
    const auto with = [&](size_t at, int32_t value) {
        Bytes bytes = dat;
        std::memcpy(bytes.data() + at, &value, sizeof(value));
        return message_of(bytes);
    };
    for (const int32_t lie : {INT32_MIN, -1, INT32_MAX}) {
        EXPECT_NE(with(0, lie).find("n_entries"), std::string::npos);
        EXPECT_NE(with(a_name, lie).find("entry 0 name"), std::string::npos);
        EXPECT_NE(with(a_values, lie).find("tensor 'b' n_values"), std::string::npos);
        EXPECT_NE(with(dataset, lie).find("dataset"), std::string::npos);
    }
    EXPECT_NE(with(0, 0), "");
    EXPECT_NE(with(0, 1), "");
    EXPECT_NE(with(0, 3), "");
    EXPECT_NE(with(a_name, 0), "");
    EXPECT_NE(with(a_name, 64), "");
    EXPECT_NE(with(a_values, 0), "");
    EXPECT_NE(with(dataset, 3).find("goes on"), std::string::npos);
    EXPECT_NE(with(a_calls, -1).find("n_calls"), std::string::npos);
    EXPECT_NE(with(n_chunks, -1).find("n_chunks"), std::string::npos);
    EXPECT_EQ(with(a_calls, INT32_MAX), "");
    EXPECT_EQ(with(n_chunks, INT32_MAX), "");
}

TEST(ConvertImatrix, NoSumsOfSquares) {
    for (const float bad : {-1.0f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity()}) {
        EXPECT_NE(message_of(DatBytes().put(int32_t(1)).entry("w", 1, {1, bad})).find("tensor 'w'"), std::string::npos);
        const auto sums = gguf_keys().tensor_f32("w.in_sum2", {2}, {1, bad}).tensor_f32("w.counts", {1}, {1}).build();
        EXPECT_NE(message_of(sums).find("tensor 'w.in_sum2'"), std::string::npos);
        const auto counts = gguf_keys().tensor_f32("w.in_sum2", {2}, {1, 1}).tensor_f32("w.counts", {1}, {bad}).build();
        EXPECT_NE(message_of(counts).find("tensor 'w.counts'"), std::string::npos);
    }
    EXPECT_NE(message_of(gguf_keys().tensor_f32("w.in_sum2", {2}, {1, 1}).tensor_f32("w.counts", {1}, {1e30f}).build()),
              "");
}

TEST(ConvertImatrix, GgufFilesThatAreNone) {
    const auto whole = [](GgufBytes keys) {
        return keys.tensor_f32("w.in_sum2", {2}, {1, 1}).tensor_f32("w.counts", {1}, {1}).build();
    };
    EXPECT_EQ(message_of(whole(gguf_keys())), "");
    // What other programs put beside them is left alone.
    EXPECT_EQ(message_of(gguf_keys()
                             .tensor_f32("w.in_sum2", {2}, {1, 1})
                             .tensor_f32("w.counts", {1}, {1})
                             .tensor_f32("w.in_sum", {2}, {-1, 1})
                             .build()),
              "");
    GgufBytes model;
    EXPECT_NE(message_of(whole(model.kv("general.type", "model"))).find("general.type"), std::string::npos);
    EXPECT_NE(message_of(whole(GgufBytes())).find("general.type"), std::string::npos);
    const auto keys = [](uint32_t n_chunks, uint32_t size) {
        GgufBytes file;
        file.kv("general.type", "imatrix").kv("imatrix.chunk_count", n_chunks).kv("imatrix.chunk_size", size);
        return file;
    };
    EXPECT_EQ(message_of(whole(keys(0, 1))), "");
    EXPECT_NE(message_of(whole(keys(1, 0))).find("imatrix.chunk_size"), std::string::npos);
    EXPECT_NE(message_of(whole(keys(1, UINT32_MAX))).find("imatrix.chunk_size"), std::string::npos);
    EXPECT_NE(message_of(whole(keys(UINT32_MAX, 1))).find("imatrix.chunk_count"), std::string::npos);
    EXPECT_NE(message_of(gguf_keys().build()).find("no sums"), std::string::npos);
    EXPECT_NE(message_of(gguf_keys().tensor_f32("w.in_sum2", {2}, {1, 1}).build()).find("no counts"),
              std::string::npos);
    EXPECT_NE(message_of(gguf_keys().tensor_f32("w.counts", {1}, {1}).build()).find("no sums"), std::string::npos);
    EXPECT_NE(
        message_of(gguf_keys().tensor_f32("w.in_sum2", {3}, {1, 1, 1}).tensor_f32("w.counts", {1, 2}, {1, 1}).build())
            .find("do not divide"),
        std::string::npos);
    EXPECT_NE(message_of(gguf_keys().tensor("w.in_sum2", {2}, 1, Bytes(4)).tensor_f32("w.counts", {1}, {1}).build())
                  .find("F16"),
              std::string::npos);
}

TEST(ConvertImatrix, NamesThatStandTwice) {
    EXPECT_NE(message_of(DatBytes().put(int32_t(2)).entry("w", 1, {1}).entry("w", 1, {1})).find("twice"),
              std::string::npos);
}

TEST(ConvertImatrix, SumsThatNoFileCanHold) {
    Imatrix large = some();
    large.tensors[0].squares[1] = 1e39;
    MemorySink::Seen seen;
    const auto result = write_imatrix(large, ImatrixFormat::gguf, std::make_unique<MemorySink>(seen));
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, ErrorCode::numeric);
    EXPECT_EQ(result.error().where.field, "tensor 'blk.0.attn_q.weight'");
    EXPECT_FALSE(seen.committed);
    large = some();
    large.tensors[0].counts[0] = uint64_t(chunk_size) << 32;
    EXPECT_FALSE(write_imatrix(large, ImatrixFormat::dat, std::make_unique<MemorySink>(seen)).ok());
}

// Nothing is left of a write that fails.
TEST(ConvertImatrix, AFullDiskIsAnError) {
    for (const ImatrixFormat format : {ImatrixFormat::gguf, ImatrixFormat::dat}) {
        const size_t n = written(some(), format).size();
        for (size_t room = 0; room < n; room++) {
            MemorySink::Seen seen;
            EXPECT_FALSE(write_imatrix(some(), format, std::make_unique<MemorySink>(seen, room)).ok());
            EXPECT_FALSE(seen.committed);
        }
    }
}

}  // namespace
