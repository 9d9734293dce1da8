/** The text of an answer, up to so many characters: what follows is not read. */
export async function textUpTo(answer: Response, most: number): Promise<{ text: string; cut: boolean }> {
  if (answer.body === null) return { text: "", cut: false };
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { text: text + decoder.decode(), cut: false };
    text += decoder.decode(value, { stream: true });
    if (text.length <= most) continue;
    await reader.cancel();
    return { text: text.slice(0, most), cut: true };
  }
}
