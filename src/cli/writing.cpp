#include "cli/writing.h"

#include <filesystem>

#include "convert/mixes.h"
#include "gguf/rewrite.h"

namespace wallaby::cli {

Result<void> check_differs(const std::string& in, const std::string& out) {
    std::error_code ignored;  // one that is not there is no other
    if (!std::filesystem::equivalent(in, out, ignored)) { return {}; }
    return Error{ErrorCode::argument, "is the file that is read", {out, "", {}}, "Write to another file"};
}

Result<void> check_out(const gguf::WeightSource& source, const std::string& out) {
    for (const gguf::Tensor& tensor : source.tensors()) { WALLABY_OK(check_differs(source.file_of(tensor), out)); }
    return {};
}

Result<quant::Type> weight_type(const std::string& flag, const std::string& name) {
    const quant::Format* const format = quant::find_format(name);
    if (format == nullptr || !convert::is_weight_type(format->type) || format->encode == nullptr) {
        return Error{ErrorCode::argument,
                     fmt::format("'{}' is no format of weights", name),
                     {"", flag, {}},
                     "Formats are F16, Q8_0, Q6_K and so on; mixes like Q4_K_M are none"};
    }
    return format->type;
}

std::string prefix_of(const std::string& out) {
    constexpr std::string_view ending = ".gguf";
    return out.ends_with(ending) ? out.substr(0, out.size() - ending.size()) : out;
}

Result<gguf::SetWriter> writer_like(const gguf::WeightSource& source, const gguf::Draft& draft, const std::string& out,
                                    bool keep_split) {
    WALLABY_TRY(const std::vector<size_t> n_tensors, gguf::tensors_of_files(source));
    if (keep_split && n_tensors.size() > 1) { return gguf::SetWriter::create(prefix_of(out), draft, n_tensors); }
    WALLABY_OK(check_out(source, out));
    WALLABY_TRY(gguf::Writer writer, gguf::Writer::create(out, draft));
    return gguf::SetWriter(std::move(writer));
}

}  // namespace wallaby::cli
