// A file with the tensors of another: copied, cut into a set, made whole again, or with other metadata; and digests of
// tensors, whichever files they are in.
#pragma once
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/digest.h"
#include "base/log.h"
#include "gguf/set_writer.h"

namespace wallaby::gguf {

// All keys but those of a set, and all tensors.
Draft draft_of(const WeightSource& source);
// How many tensors each of the source's files has.
Result<std::vector<size_t>> tensors_of_files(const WeightSource& source);

// Writes and commits files that hold the source's tensors in its order. Memory is a few MiB. An error or a stop request
// ends it with nothing left behind.
Result<void> copy_tensors(const WeightSource& source, SetWriter writer, const base::Progress& progress,
                          const std::stop_token& stop);

// "KEY=VALUE" with the type that the key has in `metadata`, or "KEY:TYPE=VALUE" with one of u8, i8, u16, i16, u32, i32,
// u64, i64, f32, f64, bool and string. What says how the file is laid out cannot be set, and what the tensors' shapes
// follow from only with `force`; the same for remove_key.
Result<void> set_key(Draft& draft, const Metadata& metadata, std::string_view assignment, bool force);
Result<void> remove_key(Draft& draft, const Metadata& metadata, std::string_view key, bool force);

// The digest (base/digest.h) of each tensor's bytes, in the source's order, and then that of all of them, end to end.
struct NamedDigest {
    std::string tensor;  // empty: all
    std::string hex;
};
Result<std::vector<NamedDigest>> digests_of(const WeightSource& source, std::string_view algorithm,
                                            const base::Progress& progress, const std::stop_token& stop);

}  // namespace wallaby::gguf
