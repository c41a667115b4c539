#include "convert/protobuf.h"

#include <bit>

#include "base/bytes.h"

namespace wallaby::convert {

Error ProtobufMessage::error(uint64_t offset, std::string what) const {
    return {ErrorCode::format, std::move(what), {file_, fmt::format("message '{}'", name_), offset}, ""};
}

Result<uint64_t> ProtobufMessage::varint() {
    const size_t begin = at_;
    uint64_t value = 0;
    for (uint32_t shift = 0; shift < 64; shift += 7) {
        if (at_ == bytes_.size()) { return error(offset_ + begin, "ends within a number"); }
        const uint8_t byte = bytes_[at_++];
        if (shift == 63 && byte > 1) { break; }
        value |= uint64_t(byte & 0x7F) << shift;
        if (byte < 0x80) { return value; }
    }
    return error(offset_ + begin, "has a number of more than 64 bits");
}

Result<std::span<const uint8_t>> ProtobufMessage::take(uint64_t n_bytes) {
    if (n_bytes > bytes_.size() - at_) {
        return error(offset_ + at_,
                     fmt::format("has a field of {} bytes where {} are left", n_bytes, bytes_.size() - at_));
    }
    const auto taken = bytes_.subspan(at_, n_bytes);
    at_ += n_bytes;
    return taken;
}

Result<std::optional<ProtobufField>> ProtobufMessage::next() {
    if (at_ == bytes_.size()) { return std::optional<ProtobufField>(); }
    ProtobufField field;
    field.offset = offset_ + at_;
    WALLABY_TRY(const uint64_t tag, varint());
    if (tag >> 3 == 0 || tag >> 3 > (1u << 29) - 1) {
        return error(field.offset, fmt::format("has a field of number {}", tag >> 3));
    }
    field.number = uint32_t(tag >> 3);
    field.wire = Wire(tag & 7);
    switch (field.wire) {
        case Wire::varint: {
            WALLABY_TRY(field.value, varint());
            return std::optional(field);
        }
        case Wire::fixed64: {
            WALLABY_TRY(const auto bytes, take(8));
            field.value = base::load_le<uint64_t>(bytes.data());
            return std::optional(field);
        }
        case Wire::bytes: {
            WALLABY_TRY(const uint64_t n_bytes, varint());
            WALLABY_TRY(field.bytes, take(n_bytes));
            return std::optional(field);
        }
        case Wire::fixed32: {
            WALLABY_TRY(const auto bytes, take(4));
            field.value = base::load_le<uint32_t>(bytes.data());
            return std::optional(field);
        }
    }
    return error(field.offset, fmt::format("has a field of the unknown kind {}", tag & 7));
}

Result<ProtobufMessage> ProtobufMessage::inner(const ProtobufField& field, std::string_view name) const {
    WALLABY_TRY(const auto content, bytes(field));
    return ProtobufMessage(content, offset_ + uint64_t(content.data() - bytes_.data()), name, file_);
}

Result<void> ProtobufMessage::require(const ProtobufField& field, Wire wire) const {
    if (field.wire == wire) { return {}; }
    return error(field.offset,
                 fmt::format("has field {} of kind {} instead of {}", field.number, int(field.wire), int(wire)));
}

Result<uint64_t> ProtobufMessage::integer(const ProtobufField& field) const {
    WALLABY_OK(require(field, Wire::varint));
    return field.value;
}

Result<float> ProtobufMessage::f32(const ProtobufField& field) const {
    WALLABY_OK(require(field, Wire::fixed32));
    return std::bit_cast<float>(uint32_t(field.value));
}

Result<std::span<const uint8_t>> ProtobufMessage::bytes(const ProtobufField& field) const {
    WALLABY_OK(require(field, Wire::bytes));
    return field.bytes;
}

}  // namespace wallaby::convert
