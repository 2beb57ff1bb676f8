// The editor of stack files: CodeMirror with YAML, completion from the JSON Schema and our own findings. Loaded when needed.
import { acceptCompletion, autocompletion, closeBrackets, closeBracketsKeymap, type Completion, type CompletionContext, type CompletionResult, completionKeymap } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap, indentLess, indentMore } from '@codemirror/commands';
import { yaml } from '@codemirror/lang-yaml';
import { bracketMatching, HighlightStyle, indentOnInput, indentUnit, syntaxHighlighting } from '@codemirror/language';
import { type Diagnostic as Mark, lintGutter, lintKeymap, setDiagnostics } from '@codemirror/lint';
import { highlightSelectionMatches, searchKeymap } from '@codemirror/search';
import { EditorState } from '@codemirror/state';
import { drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter, keymap, lineNumbers } from '@codemirror/view';
import { tags as t } from '@lezer/highlight';
import { get } from './api';
import type { Diagnostic } from './types';
import { kindAt, offers, type Schema, spot } from './yamlpath';

const colours = HighlightStyle.define([
  { tag: [t.propertyName, t.definition(t.propertyName)], color: 'var(--accent)' },
  { tag: t.comment, color: 'var(--soft)', fontStyle: 'italic' },
  { tag: [t.string, t.special(t.string)], color: 'var(--ok)' },
  { tag: [t.number, t.bool, t.null, t.keyword], color: 'var(--busy)' },
  { tag: [t.meta, t.documentMeta], color: 'var(--odd)' },
  { tag: [t.punctuation, t.separator, t.squareBracket, t.brace], color: 'var(--soft)' },
]);

const shape = EditorView.theme({
  '&': { color: 'var(--text)', backgroundColor: 'var(--panel)', fontSize: '13px', height: '100%' },
  '&.cm-focused': { outline: '2px solid var(--accent)', outlineOffset: '-2px' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '1.55' },
  '.cm-content': { caretColor: 'var(--text)', padding: '8px 0' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '.cm-gutters': { backgroundColor: 'var(--sunk)', color: 'var(--soft)', border: '0' },
  '.cm-activeLine': { backgroundColor: 'color-mix(in srgb, var(--sunk) 45%, transparent)' },
  '.cm-activeLineGutter': { backgroundColor: 'var(--line)', color: 'var(--text)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': { backgroundColor: 'color-mix(in srgb, var(--accent) 28%, transparent)' },
  '.cm-tooltip': { backgroundColor: 'var(--panel)', color: 'var(--text)', border: '1px solid var(--line-strong)', borderRadius: '6px', maxWidth: '420px' },
  '.cm-tooltip.cm-tooltip-autocomplete > ul': { fontFamily: 'var(--mono)', maxHeight: '260px' },
  '.cm-tooltip-autocomplete ul li[aria-selected]': { backgroundColor: 'var(--accent)', color: 'var(--accent-text)' },
  '.cm-completionDetail': { color: 'inherit', opacity: '0.8', fontStyle: 'normal', marginLeft: '12px' },
  '.cm-diagnostic': { padding: '4px 10px', fontFamily: 'var(--font)' },
  '.cm-diagnostic-error': { borderLeft: '4px solid var(--bad)' },
  '.cm-diagnostic-warning': { borderLeft: '4px solid var(--warn)' },
  '.cm-lintRange-error': { backgroundImage: 'none', textDecoration: 'underline wavy var(--bad)' },
  '.cm-lintRange-warning': { backgroundImage: 'none', textDecoration: 'underline wavy var(--warn)' },
  '.cm-panels': { backgroundColor: 'var(--sunk)', color: 'var(--text)' },
  '.cm-panels button, .cm-panels input': { color: 'inherit', background: 'var(--panel)', border: '1px solid var(--line-strong)', backgroundImage: 'none', borderRadius: '4px' },
  '.cm-searchMatch': { backgroundColor: 'var(--warn-wash)', outline: '1px solid var(--warn)' },
  '.cm-matchingBracket': { backgroundColor: 'var(--accent-wash)' },
});

let schema: Promise<Schema | null> | null = null;
const theSchema = () => (schema ??= get<Schema>('/v1/schema').catch(() => null));

async function complete(context: CompletionContext): Promise<CompletionResult | null> {
  const root = await theSchema();
  if (!root) return null;
  const line = context.state.doc.lineAt(context.pos);
  const lines = context.state.doc.toString().split('\n');
  const where = spot(lines, line.number - 1, context.pos - line.from);
  const word = /[\w.@/-]*$/.exec(where.word)?.[0] ?? '';
  if (!context.explicit && !word && where.at === 'key' && !where.flow) return null;
  const options = offers(root, kindAt(lines, line.number - 1), where).map((offer): Completion => ({
    label: offer.label, detail: offer.detail, info: offer.info || undefined, type: offer.kind === 'key' ? 'property' : 'constant',
    apply: offer.kind === 'key' ? `${offer.label}: ` : offer.label, boost: offer.detail.includes('required') ? 2 : 0,
  }));
  return options.length ? { from: context.pos - word.length, options, validFor: /^[\w.@/-]*$/ } : null;
}

export type Handle = { setText(text: string): void; setFindings(list: Diagnostic[]): void; goto(line: number, column: number): void; destroy(): void };

/** Spans are given in bytes of UTF-8; the editor counts UTF-16 units, so lines and columns are used. */
function marks(state: EditorState, list: Diagnostic[]): Mark[] {
  return list.filter((one) => one.line && one.line <= state.doc.lines).map((one) => {
    const line = state.doc.line(one.line ?? 1);
    const from = Math.min(line.to, line.from + Math.max(0, (one.column ?? 1) - 1));
    const length = one.span ? Math.max(1, one.span.end - one.span.start) : 1;
    const to = Math.min(Math.max(line.to, from), from + length);
    return { from, to, severity: one.severity, message: `${one.message}${one.help ? `\n${one.help}` : ''}`, source: one.code };
  });
}

/** Puts an editor into a shadow root, in which its sheets are adopted rather than written as inline styles. */
export function edit(root: ShadowRoot, parent: HTMLElement, text: string, label: string, changed: (text: string) => void): Handle {
  const view = new EditorView({
    root,
    parent,
    state: EditorState.create({
      doc: text,
      extensions: [
        lineNumbers(), highlightActiveLineGutter(), history(), drawSelection(), indentOnInput(), bracketMatching(), closeBrackets(), highlightActiveLine(), highlightSelectionMatches(),
        yaml(), indentUnit.of('  '), EditorState.tabSize.of(2), syntaxHighlighting(colours), shape, lintGutter(),
        autocompletion({ override: [complete], icons: false }),
        EditorView.contentAttributes.of({ 'aria-label': label, spellcheck: 'false' }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) changed(update.state.doc.toString());
        }),
        keymap.of([
          { key: 'Tab', run: acceptCompletion },
          { key: 'Tab', run: indentMore, shift: indentLess },
          ...closeBracketsKeymap, ...defaultKeymap, ...searchKeymap, ...historyKeymap, ...completionKeymap, ...lintKeymap,
        ]),
      ],
    }),
  });
  // A region that scrolls must be reachable with the keyboard on every browser; the content in it takes the focus itself.
  view.scrollDOM.tabIndex = 0;
  return {
    setText(next) {
      if (view.state.doc.toString() !== next) view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: next } });
    },
    setFindings(list) {
      view.dispatch(setDiagnostics(view.state, marks(view.state, list)));
    },
    goto(line, column) {
      const at = view.state.doc.line(Math.min(line, view.state.doc.lines));
      view.dispatch({ selection: { anchor: Math.min(at.to, at.from + column - 1) }, scrollIntoView: true });
      view.focus();
    },
    destroy: () => view.destroy(),
  };
}
